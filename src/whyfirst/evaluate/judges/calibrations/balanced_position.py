"""Balanced position calibration: the better mean score over both orders wins.

Where a judge says how good each response is, its leaning to a slot cancels in the mean, and a pair
on which the orders disagree is decided by the stronger of the two instead of being a tie. Wang et
al. 2023 (FairEval, arXiv 2305.17926). Leaves out: judges that give no scores, whose pairs stay as
they are.
"""

from collections.abc import Sequence

from whyfirst.evaluate.judges import CALIBRATIONS, Judge, Pair, Preference, Winner, both_orders


@CALIBRATIONS.enter(
    "balanced_position",
    version="2",
    on="scores",
    paper="Wang et al. 2023, arXiv 2305.17926",
    needs="a judge that gives scores",
    tested="a constant lean to a slot changes no winner",
)
def balanced_position(judge: Judge, *, margin: float = 0.0) -> Judge:
    """The better mean score over both orders wins.

    Args:
        margin: how far apart the two means must be; within it is a tie.
    """
    return _Balanced(judge, margin)


class _Balanced(Judge):
    def __init__(self, judge: Judge, margin: float) -> None:
        self.judge, self.margin = judge, margin
        self.name, self.criterion = f"{judge.name}+balanced_position", judge.criterion
        self.version = f"{judge.version}+2" if margin == 0 else f"{judge.version}+2({margin})"

    def decide(self, pairs: Sequence[Pair], samples: int) -> list[Preference]:
        """See `Judge.decide`."""
        found = self.judge.compare([*pairs, *(pair.swapped for pair in pairs)], samples)
        half = len(pairs)
        both = [both_orders(*two) for two in zip(found[:half], found[half:], strict=True)]
        return [self._decided(preference) for preference in both]

    def _decided(self, found: Preference) -> Preference:
        if found.scores is None:
            return found
        apart = found.scores[0] - found.scores[1]
        winner: Winner = "tie" if abs(apart) <= self.margin else "a" if apart > 0 else "b"
        return Preference(
            winner, scores=found.scores, samples=found.samples, consistent=found.consistent,
            slot=found.slot,
        )  # fmt: skip
