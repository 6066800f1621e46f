"""Length guard: who wins only by writing a lot more, or a lot less, doesn't win.

Judges favour length: Dubois et al. 2024 (arXiv 2404.04475) regress it out of a whole win rate.
This is the plain form, pair by pair: where one response is more than `factor` times as long as the
other, the pair says nothing of quality and is a tie. Leaves out: the regression.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

from pydantic import Field

from whyfirst.evaluate.judges import CALIBRATIONS, Judge, Pair, Preference


class Guarded(Judge):
    """A judge whose winners are of like length."""

    def __init__(self, judge: Judge, factor: float) -> None:
        self.judge, self.factor, self.criterion = judge, factor, judge.criterion
        self.name, self.version = f"{judge.name}+length_guard", f"{judge.version}+1({factor})"

    def decide(self, pairs: Sequence[Pair], samples: int) -> list[Preference]:
        """See `Judge.decide`."""
        found = self.judge.decide(pairs, samples)
        return [self._guarded(*both) for both in zip(pairs, found, strict=True)]

    def _guarded(self, pair: Pair, found: Preference) -> Preference:
        short, long = sorted(len(one.text.split()) for one in (pair.a, pair.b))
        apart = found.winner is not None and long > self.factor * short
        return replace(found, winner="tie") if apart else found


@CALIBRATIONS.enter(
    "length_guard",
    paper="after Dubois et al. 2024, arXiv 2404.04475",
    needs="nothing",
    tested="no winner over the factor; an infinite factor changes nothing",
)
def length_guard(judge: Judge, *, factor: Annotated[float, Field(ge=1)] = 2.0) -> Judge:
    """A tie where one response is more than `factor` times as long as the other, in words."""
    return Guarded(judge, factor)
