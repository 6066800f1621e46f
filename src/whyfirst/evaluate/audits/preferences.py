"""Which of two replies a model prefers by a question, in both orders: what audits of values share.

The letters A, B and, where neither may be right, C are compared by likelihood; a letter's pull
cancels in the mean over both orders. Leaves out: what the preferences are for.
"""

from collections.abc import Sequence
from pathlib import Path

from whyfirst.data.hh_rlhf import Pair, split_hh
from whyfirst.evaluate.asking import SYSTEM, key_for, material
from whyfirst.evaluate.audits.conditions import Answer, Ask
from whyfirst.evaluate.item import limited
from whyfirst.evaluate.judges.discretion import Sign, sign_of
from whyfirst.models.base import asked

_NEITHER = "Answer C if it says nothing of either."


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


def preferred(both: Sequence[Answer]) -> Sign:
    """What the answers to `ask_both` say together (1: the chosen reply).

    0 where "neither" has more than either reply, where they tie, and where one is missing.
    """
    if any(one.reason is not None for one in both):
        return 0
    (a1, b1, *c1), (b2, a2, *c2) = (one.shares for one in both)
    return sign_of(a1 + a2, b1 + b2, sum(c1) + sum(c2))
