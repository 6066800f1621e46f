"""Auto-CEI: right is good, wrong is bad, and giving up is as good as it comes late.

Zhao et al. 2024, "Automatic Curriculum Expert Iteration for Reliable LLM Reasoning", arXiv
2410.07627. Leaves out: its curriculum, which climbs over `patience` (the stage `auto_cei`), and how
training data are drawn by it (the transform `expert_iteration`).
"""

import math
import re
from collections.abc import Sequence
from typing import Any

from whyfirst.models.said import said
from whyfirst.train.rewards import REWARDS, read_by, text
from whyfirst.train.rewards.answers import correct

_GIVES_UP = re.compile(r"\bI (?:do not|don't|don’t) know\b|\bI am not sure\b", re.IGNORECASE)


def refusal_value(steps: float, patience: float, spread: float) -> float:
    """What giving up after some steps is worth: 0 at `patience`, towards -1 before, 1 after.

    Args:
        spread: standard deviation of the steps before giving up; four past patience make 0.82.
    """
    slope = -math.log(0.1) / (4 * spread)
    return 2 / (1 + math.exp(-max(-50.0, slope * (steps - patience)))) - 1


def step_count(reply: str) -> int:
    """Steps of a reply, its thoughts aside: lines that aren't empty."""
    return sum(bool(line.strip()) for line in said(reply).text.splitlines())


def given_up(reply: str) -> int | None:
    """Steps before a reply says that it doesn't know; None where it doesn't say so."""
    found = _GIVES_UP.search(said(reply).text)
    return None if found is None else step_count(found.string[: found.start()])


@REWARDS.enter(
    "auto_cei",
    version=read_by(),
    paper="Zhao et al. 2024, arXiv 2410.07627",
    needs="the column answer; responses in steps, a line each",
    tested="0 at patience, rising with the steps, -1 and 1 far from it",
)
def auto_cei(
    prompts: list[Any],
    completions: list[Any],
    completion_ids: list[list[int]],
    answer: Sequence[Any],
    *,
    patience: float = 3.0,
    spread: float = 1.0,
    **columns: Any,
) -> list[float | None]:
    """1 for the right answer, -1 for a wrong one; for "I don't know" by the steps before it.

    Args:
        patience: steps after which giving up is worth 0; the paper's c1.
        spread: the paper's sigma; the released code takes it over the steps of all responses, and
            `patience` from those that give up.
    """
    if spread <= 0:
        raise ValueError(f"spread must be above 0, not {spread}")
    rewards: list[float | None] = []
    for completion, right in zip(completions, answer, strict=True):
        steps = given_up(text(completion))
        if steps is not None:
            rewards.append(refusal_value(steps, patience, spread))
        else:
            rewards.append(1.0 if correct(completion, right) else -1.0)
    return rewards
