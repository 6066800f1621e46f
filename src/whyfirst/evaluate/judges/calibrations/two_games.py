"""JudgeBench's rule: both orders are asked, and the winner of more of the two games wins.

Tan et al. 2024, arXiv 2410.12784. Unlike in `both_orders`, a win in one order and a tie in the
other is a win; a win in each is a tie. Leaves out: counting a reply that can't be read as a tie, as
their code does; such a pair has no preference here.
"""

from collections.abc import Sequence
from dataclasses import replace

from whyfirst.evaluate.judges import CALIBRATIONS, Judge, Pair, Preference, both_orders
from whyfirst.evaluate.judges.protocols import two_games as winner_of


@CALIBRATIONS.enter(
    "two_games",
    version="2",
    on="one order",
    paper="Tan et al. 2024, arXiv 2410.12784",
    needs="a judge of one order (`orders: 1`); one of both is asked twice over",
    tested="always the first: every pair a tie; a win and a tie: a win",
)
def two_games(judge: Judge) -> Judge:
    """The winner of more of the two orders wins."""
    return _TwoGames(judge)


class _TwoGames(Judge):
    def __init__(self, judge: Judge) -> None:
        self.judge = judge
        self.name, self.criterion = f"{judge.name}+two_games", judge.criterion
        self.version = f"{judge.version}+2"

    def decide(self, pairs: Sequence[Pair], samples: int) -> list[Preference]:
        """See `Judge.decide`."""
        found = self.judge.compare([*pairs, *(pair.swapped for pair in pairs)], samples)
        half = len(pairs)
        out = []
        for forward, backward in zip(found[:half], found[half:], strict=True):
            both = both_orders(forward, backward)
            if both.winner is not None:
                both = replace(both, winner=winner_of(forward.winner, backward.swapped.winner))
            out.append(both)
        return out
