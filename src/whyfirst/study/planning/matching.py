"""Are the first stages of a study alike in what they trained on, counted in tokens and updates?

Corpora with a token budget are matched when they are written. Others are counted here before
anything is trained, with the stage's own tokenizer and order of rows, and refused where they
differ. Leaves out: filling a budget (explain/match.py).
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from whyfirst.config.errors import PreflightError
from whyfirst.config.files import read_json
from whyfirst.report import schema
from whyfirst.study.planning.checks import first_stages
from whyfirst.study.planning.plan import Plan

TOLERANCE = 0.02
"""Trained tokens may differ by this share; budgets are met to 0.5 %."""


def trained_tokens(config: Any, tokenizer: Any, data: Mapping[str, Path], seed: int) -> int:
    """Tokens that an explain stage will see, each time it sees them, without its replay rows."""
    from whyfirst.train.encode import encode
    from whyfirst.train.plan import make_plan

    found = encode(config, tokenizer, data).examples
    own = [len(example.ids) for example in found if example.source != "replay"]
    replay = [len(example.ids) for example in found if example.source == "replay"]
    order = make_plan(config, own, replay, seed).updates
    return sum(own[i] for update in order for row in update for i in row if i < len(own))


def refuse_unlike(tokens: Mapping[str, int]) -> None:
    """Refuse first stages that would train on different amounts.

    Args:
        tokens: stage -> trained tokens; the first is what the others are held against.

    Raises:
        PreflightError: names every stage that differs, and by how much.
    """
    reference, expected = next(iter(tokens.items()))
    unlike = [
        f"{name} {count} ({count / expected - 1:+.1%})"
        for name, count in tokens.items()
        if abs(count / expected - 1) > TOLERANCE
    ]
    if unlike:
        raise PreflightError(
            f"first stages must train on as many tokens, within {TOLERANCE:.0%}: {reference} "
            f"{expected}, but {', '.join(unlike)}; give their corpora the same token budget, or "
            "rows of like lengths"
        )


def rows(plan: Plan, folders: Mapping[str, Path]) -> list[schema.MatchRow]:
    """First stages against the first of them; a longer direct arm against the whole of it.

    Each row is of the seed in which the arm is least like the reference.
    """
    study = plan.study
    firsts = first_stages(study)
    if not firsts:
        return []
    reference = "explain_first" if "explain_first" in firsts else next(iter(firsts))
    whole = range(len(study.arms[reference]))
    found = []
    for arm, stage in firsts.items():
        found.append(_row(plan, folders, (arm, [0], stage), (reference, [0])))
    for arm, stages in study.arms.items():
        if arm.endswith("_longer") and stages:
            own = (arm, range(len(stages)), stages[-1])
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
