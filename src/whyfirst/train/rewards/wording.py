"""Rewards that look at the words alone: an exact answer, length, repetition.

Leaves out: anything about what a response means (`conduct`, `model`).
"""

from collections.abc import Sequence
from typing import Any

from whyfirst.train.rewards import REWARDS, text


@REWARDS.enter("exact_match", needs="the column answer")
def exact_match(
    prompts: list[Any],
    completions: list[Any],
    completion_ids: list[list[int]],
    answer: Sequence[str],
    **columns: Any,
) -> list[float | None]:
    """1 where the response is the column `answer`, white space apart; else 0."""
    return [
        float(text(given).split() == wanted.split())
        for given, wanted in zip(completions, answer, strict=True)
    ]


@REWARDS.enter("length")
def length(
    prompts: list[Any],
    completions: list[Any],
    completion_ids: list[list[int]],
    *,
    free: int = 0,
    **columns: Any,
) -> list[float | None]:
    """Minus the number of tokens beyond the first `free`; its weight is the price of a token."""
    return [float(-max(0, len(ids) - free)) for ids in completion_ids]


@REWARDS.enter("repetition")
def repetition(
    prompts: list[Any],
    completions: list[Any],
    completion_ids: list[list[int]],
    *,
    size: int = 3,
    **columns: Any,
) -> list[float | None]:
    """Minus the share of a response's n-grams (`size` tokens) that it had said before; 0 to -1."""
    return [-repeated(ids, size) for ids in completion_ids]


def repeated(ids: Sequence[int], size: int = 3) -> float:
    """Share of the n-grams of `ids` that occurred earlier in it; 0 where it has none."""
    grams = [tuple(ids[at : at + size]) for at in range(len(ids) - size + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0
