"""A judge: the response that repeats itself less is the better one.

Its score is the share of a response's words that it had not said before (type-token ratio). Leaves
out: that longer texts repeat more, which the calibration `length_guard` is for.
"""

from collections.abc import Sequence

from whyfirst.evaluate.judges import JUDGES, Judge, Pair, Preference


class Varied(Judge):
    """Compares by the share of distinct words."""

    name, version, criterion = "varied", "1", "more varied"

    def __init__(self, margin: float) -> None:
        self.margin = margin

    def decide(self, pairs: Sequence[Pair], samples: int) -> list[Preference]:
        """See `Judge.decide`; both orders would get the same answer."""
        return [self._decided(variety(pair.a.text), variety(pair.b.text)) for pair in pairs]

    def _decided(self, a: float, b: float) -> Preference:
        winner = "tie" if abs(a - b) <= self.margin else "a" if a > b else "b"
        return Preference(winner, scores=(a, b), consistent=True)


def variety(text: str) -> float:
    """Distinct words over words, in [0, 1]; 0 where there are none."""
    words = text.lower().split()
    return len(set(words)) / len(words) if words else 0.0


@JUDGES.enter("varied", tested="two hand-counted texts; swapping turns it round")
def varied(*, margin: float = 0.0) -> Judge:
    """Which response repeats itself less; within `margin` is a tie."""
    return Varied(margin)
