"""Adaptive exploration: several answers in one response, worth less the more it takes.

Liu et al. 2025, "InfiGUI-G1: Advancing GUI Grounding with Adaptive Exploration Policy
Optimization", arXiv 2508.05731, in text form: an answer is a line in place of a point. Leaves out:
the check for collinear points; answers given twice take its place.
"""

import math
import re
from collections.abc import Sequence
from typing import Any

from whyfirst.models.said import said
from whyfirst.train.rewards import REWARDS, read_by, text
from whyfirst.train.rewards.answers import same

_ITEM = re.compile(r"\s*(?:\d{1,3}[.):]|[-*])\s+(\S.*)")


def exploration(right: Sequence[bool]) -> float:
    """1 / sqrt(N k) where answer k of N is the first right one, -1 / N where none is."""
    n = len(right)
    first = next((k for k, one in enumerate(right, 1) if one), None)
    return -1 / n if first is None else 1 / math.sqrt(n * first)


def answers(completion: Any) -> list[str]:
    """The items of the list that a response is; none where any other line stands between."""
    lines = [line for line in said(text(completion)).text.splitlines() if line.strip()]
    found = [match[1].strip() for line in lines if (match := _ITEM.fullmatch(line))]
    return found if len(found) == len(lines) else []


@REWARDS.enter(
    "adaptive_exploration",
    version=read_by(),
    paper="Liu et al. 2025, arXiv 2508.05731",
    needs="the column answer; responses that are lists",
    tested="(N, k) = (1, 1): 1; (4, 1): .5; (4, 4): .25; (2, none): -.5; most at N = k = 1",
)
def adaptive_exploration(
    prompts: list[Any],
    completions: list[Any],
    completion_ids: list[list[int]],
    answer: Sequence[Any],
    *,
    form: float = 1.0,
    **columns: Any,
) -> list[float | None]:
    """`form` plus what the first right answer is worth; -1 for no list, or an answer twice.

    Args:
        form: for a response that is a list of different answers.
    """
    rewards: list[float | None] = []
    for completion, right in zip(completions, answer, strict=True):
        given = answers(completion)
        twice = any(same(one, other) for at, one in enumerate(given) for other in given[:at])
        hits = [same(one, str(right)) for one in given]
        rewards.append(-1.0 if not given or twice else form + exploration(hits))
    return rewards
