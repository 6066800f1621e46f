"""Structured plans: as many steps as there should be, in their order, with their objects.

SCORE of Thoth (Sun et al. 2025, "Unleashing Scientific Reasoning for Bio-experimental Protocol
Generation via Structured Component-based Reward Mechanism", arXiv 2510.15600), for any plan in
JSON: a list of {action, objects, parameters}. The number of steps times the sum of their order and
their content, over its maximum of 2.5 so that it lies in 0 to 1. The code of the reward isn't
released; names of its variants are. Leaves out: laboratory content of any kind, synonyms of
actions, and what compares a plan with its prose (two gates, and a price for long sentences).
"""

from collections.abc import Sequence
from math import cos, pi
from typing import Annotated, Any, Literal

from pydantic import Field

from whyfirst.train.rewards import REWARDS, read_by
from whyfirst.train.rewards.plans import Step, content_scores, order_score, plan_of, subsequence


def number_score(given: int, wanted: int) -> float:
    """cos(pi d / 2 M) of the difference d in steps, 0 from M = 0.6 of the wanted ones on."""
    most = max(1, wanted * 6 // 10)
    away = abs(given - wanted)
    return cos(pi * away / (2 * most)) if away < most else 0.0


@REWARDS.enter(
    "structured_plan",
    version=read_by("2"),
    paper="Sun et al. 2025, arXiv 2510.15600",
    needs="the column plan (a list of {action, objects, parameters})",
    tested="a perfect step is worth 1.5, one displaced by `reach` 0; equal plans give 1",
)
def structured_plan(
    prompts: list[Any],
    completions: list[Any],
    completion_ids: list[list[int]],
    plan: Sequence[Sequence[Step]],
    *,
    order: Literal["strict", "lcs"] = "strict",
    content: Literal["matched", "longer"] = "matched",
    reach: Annotated[int, Field(ge=1)] | None = None,
    **columns: Any,
) -> list[float | None]:
    """Number of steps times the sum of their order and mean content, 0 to 1.

    Args:
        order: 1 where one list of actions is the other or part of it in its order, else 0; or the
            F1 of their longest common subsequence.
        content: mean over the steps with an action in common, or over those of the longer plan.
        reach: places from which on a displaced step is worth nothing; null: the plan's length.
    """
    rewards: list[float | None] = []
    for completion, wanted in zip(completions, plan, strict=True):
        given = plan_of(completion)
        one, other = ([str(step["action"]) for step in steps] for steps in (given, wanted))
        in_order = float(subsequence(one, other)) if order == "strict" else order_score(one, other)
        scores = content_scores(given, wanted, reach or max(1, len(wanted)))
        steps = len(scores) if content == "matched" else max(len(given), len(wanted))
        worth = (in_order + sum(scores) / max(1, steps)) / 2.5
        rewards.append(number_score(len(given), len(wanted)) * worth if given else 0.0)
    return rewards
