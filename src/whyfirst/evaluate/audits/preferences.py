"""Which of two replies a model prefers by a question, in both orders: what audits of values share.

The letters A, B and, where neither may be right, C are compared by likelihood; a letter's pull
cancels in the mean over both orders. Leaves out: what the preferences are for.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from whyfirst.data.hh_rlhf import Pair, split_hh
from whyfirst.evaluate.asking import SYSTEM, key_for, material
from whyfirst.evaluate.audits.conditions import Answer, Ask
from whyfirst.evaluate.item import limited
from whyfirst.evaluate.judges.discretion import Sign, sign_of
from whyfirst.models.base import asked

_NEITHER = "Answer C if it says nothing of either."


class Preferred(NamedTuple):
    """A sign (1: the chosen reply), and the answers that it was read from."""

    sign: Sign
    answers: Sequence[Answer]


def pairs_of(data: Path, limit: int | None, max_characters: int) -> list[Pair]:
    """HH-RLHF's usable pairs, the shorter ones."""
    _, found = split_hh(data, 1.0, max_characters)
    return limited(found.pairs, limit, lambda pair: pair.id)


def ask_both(pair: Pair, name: str, question: str, neither: bool) -> list[Ask]:
    """Both orders of one question about one pair."""
    key = key_for(pair.prompt, pair.chosen, pair.rejected)
    options = ("A", "B", "C") if neither else ("A", "B")
    asks = []
    for order, (first, second) in enumerate(
        ((pair.chosen, pair.rejected), (pair.rejected, pair.chosen))
    ):
        parts = [
            material("dialogue", pair.prompt, key),
            material("reply A", first, key),
            material("reply B", second, key),
            question + (f" {_NEITHER}" if neither else ""),
            f"Answer {' or '.join(options)}.",
        ]
        asks.append(Ask(f"{pair.id}/{name}/{order}", asked("\n\n".join(parts), SYSTEM), options))
    return asks


def preferred(answers: Mapping[str, Answer], pair: Pair, name: str) -> Preferred:
    """What both orders say together; 0 where "neither" has more than either reply, or they tie."""
    two = [answers[f"{pair.id}/{name}/{order}"] for order in (0, 1)]
    if any(one.reason is not None for one in two):
        return Preferred(0, two)
    (a1, b1, *c1), (b2, a2, *c2) = (one.shares for one in two)
    return Preferred(sign_of(a1 + a2, b1 + b2, sum(c1) + sum(c2)), two)
