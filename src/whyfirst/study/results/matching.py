"""Whether a study's first stages are alike in what they trained on, for the report.

Leaves out: refusing those that aren't before they train (nodes/checks.py).
"""

from collections.abc import Mapping
from pathlib import Path

from whyfirst.config.files import read_json
from whyfirst.report.schema import MatchRow
from whyfirst.study.nodes.checks import TOLERANCE
from whyfirst.study.plan import Plan
from whyfirst.study.refusals import first_stages


def rows(plan: Plan, folders: Mapping[str, Path]) -> list[MatchRow]:
    """First stages against the first of them; a longer direct arm against the whole of it.

    Each row is of the seed in which the arm is least like the reference.
    """
    study, firsts = plan.study, first_stages(plan.study)
    if not firsts:
        return []
    reference = "explain_first" if "explain_first" in firsts else next(iter(firsts))

    def counts(arm: str, seed: int, stages: int | None) -> tuple[int, int, int]:
        """Documents, tokens (less replay) and updates of an arm's first stage, or of all."""
        read = [read_json(folders[node] / "stage.json") for node in plan.stages[arm, seed][:stages]]
        tokens = sum(int(r["tokens_total"]) - int(r["tokens_replay"]) for r in read)
        return sum(int(r["documents"]) for r in read), tokens, sum(int(r["updates"]) for r in read)

    compared: list[tuple[str, str, int | None]] = [(arm, name, 1) for arm, name in firsts.items()]
    compared += [
        (arm, use.stages[-1], None)
        for arm, use in study.arms.items()
        if arm.endswith("_longer") and use.stages
    ]
    found = []
    for arm, stage, stages in compared:
        by_seed = []
        for seed in study.seeds_of(arm):
            if (reference, seed) not in plan.stages:
                continue
            documents, tokens, updates = counts(arm, seed, stages)
            _, base_tokens, base_updates = counts(reference, seed, stages)
            ratios = tokens / base_tokens, updates / base_updates
            by_seed.append(MatchRow(
                arm=arm, stage=stage, corpus=study.stages[stage].data,
                documents=documents, tokens=tokens, updates=updates,
                ratio_tokens=ratios[0], ratio_updates=ratios[1],
                ok=abs(ratios[0] - 1) <= TOLERANCE and ratios[1] == 1,
            ))  # fmt: skip
        found.append(
            max(by_seed, key=lambda r: (abs(r.ratio_updates - 1), abs(r.ratio_tokens - 1)))
        )
    return found
