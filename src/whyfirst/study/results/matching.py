"""Whether a study's first stages are alike in what they trained on, for the report.

Leaves out: refusing those that aren't before they train (nodes/checks.py).
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from whyfirst.config.files import read_json
from whyfirst.report import schema
from whyfirst.study.nodes.checks import TOLERANCE
from whyfirst.study.plan import Plan
from whyfirst.study.refusals import first_stages


def rows(plan: Plan, folders: Mapping[str, Path]) -> list[schema.MatchRow]:
    """First stages against the first of them; a longer direct arm against the whole of it.

    Each row is of the seed in which the arm is least like the reference.
    """
    study = plan.study
    firsts = first_stages(study)
    if not firsts:
        return []
    reference = "explain_first" if "explain_first" in firsts else next(iter(firsts))
    whole = range(len(study.arms[reference].stages))
    found = []
    for arm, stage in firsts.items():
        found.append(_row(plan, folders, (arm, [0], stage), (reference, [0])))
    for arm, use in study.arms.items():
        if arm.endswith("_longer") and use.stages:
            own = (arm, range(len(use.stages)), use.stages[-1])
            found.append(_row(plan, folders, own, (reference, whole)))
    return found


def _row(
    plan: Plan,
    folders: Mapping[str, Path],
    own: tuple[str, Iterable[int], str],
    reference: tuple[str, Iterable[int]],
) -> schema.MatchRow:
    arm, places, stage = own
    seeds = [s for s in plan.study.seeds_of(arm) if (reference[0], s) in plan.stages]
    pairs = [
        (
            _counts(plan, folders, arm, seed, places),
            _counts(plan, folders, reference[0], seed, reference[1]),
        )
        for seed in seeds
    ]
    report, base = max(pairs, key=_unlikeness)
    ratio_tokens, ratio_updates = report[1] / base[1], report[2] / base[2]
    return schema.MatchRow(
        arm=arm,
        stage=stage,
        corpus=plan.study.stages[stage].data,
        documents=report[0],
        tokens=report[1],
        updates=report[2],
        ratio_tokens=ratio_tokens,
        ratio_updates=ratio_updates,
        ok=abs(ratio_tokens - 1) <= TOLERANCE and ratio_updates == 1,
    )


Counts = tuple[int, int, int]


def _unlikeness(pair: tuple[Counts, Counts]) -> tuple[float, float]:
    (_, tokens, updates), (_, base_tokens, base_updates) = pair
    return abs(updates / base_updates - 1), abs(tokens / base_tokens - 1)


def _counts(
    plan: Plan, folders: Mapping[str, Path], arm: str, seed: int, places: Iterable[int]
) -> Counts:
    """Documents, tokens (less replay) and updates of some stages of an arm."""
    reports = [read_json(folders[plan.stages[arm, seed][place]] / "stage.json") for place in places]
    return (
        sum(int(report["documents"]) for report in reports),
        sum(int(report["tokens_total"]) - int(report["tokens_replay"]) for report in reports),
        sum(int(report["updates"]) for report in reports),
    )
