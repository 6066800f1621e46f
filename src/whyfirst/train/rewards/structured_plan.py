"""Structured plans: as many steps as there should be, in their order, with their objects.

SCORE of Thoth, "Unleashing Scientific Reasoning ... via Structured Component-based Reward
Mechanism" (2025), arXiv 2510.15600, for any plan in JSON: a list of {action, objects, parameters}.
How the paper weighs its components in training isn't released; here they are a weighted mean.
Leaves out: laboratory content of any kind, and synonyms of actions.
"""

from collections.abc import Sequence
from typing import Any

from whyfirst.train.rewards import REWARDS
from whyfirst.train.rewards.plans import Step, content_scores, order_score, plan_of


@REWARDS.enter(
    "structured_plan",
    paper="Thoth (2025), arXiv 2510.15600",
    needs="the column plan (a list of {action, objects, parameters})",
    tested="a perfect step is worth 1.5, one displaced by `reach` 0; equal plans give 1",
)
def structured_plan(
    prompts: list[Any],
    completions: list[Any],
    completion_ids: list[list[int]],
    plan: Sequence[Sequence[Step]],
    *,
    reach: int = 4,
    weights: tuple[float, float, float] = (1.0, 1.0, 1.0),
    **columns: Any,
) -> list[float | None]:
    """Weighted mean, 0 to 1, of a plan's number of steps, their order and their content.

    Args:
        reach: places from which on a displaced step is worth nothing.
        weights: of the three, in that order.
    """
    rewards: list[float | None] = []
    for completion, wanted in zip(completions, plan, strict=True):
        given = plan_of(completion)
        actions = [[str(step["action"]) for step in steps] for steps in (given, wanted)]
        content = sum(content_scores(given, wanted, reach)) / (1.5 * max(len(wanted), 1))
        parts = (float(len(given) == len(wanted)), order_score(*actions), content)
        worth = sum(w * p for w, p in zip(weights, parts, strict=True)) / sum(weights)
        rewards.append(worth if given else 0.0)
    return rewards
