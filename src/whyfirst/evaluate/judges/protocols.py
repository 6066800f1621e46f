"""How published protocols count judgements in both orders against labels.

JudgeBench (Tan et al. 2024, arXiv 2410.12784), Auto-J (Li et al. 2023, arXiv 2310.05470), FairEval
(Wang et al. 2023, arXiv 2305.17926), ratings against rankings (Bansal et al. 2023, arXiv
2308.15812). A judgement that is missing counts as the protocol says, which `Judge`s here never do:
that is why these stand apart. Leaves out: asking the judge.
"""

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from whyfirst.evaluate.judges import Preference, Winner

Said = Winner | None
_VOTE: dict[Said, int] = {"a": 1, "b": -1, "tie": 0, None: 0}


class Judged(NamedTuple):
    """One pair judged in both orders.

    Attributes:
        label: which response is better.
        forward, back: the winners as the two orders have them, both in terms of the responses.
    """

    label: Winner
    forward: Said
    back: Said

    @property
    def consistent(self) -> bool:
        """Both orders say the same, which may be that nothing could be read."""
        return self.forward == self.back

    @property
    def agrees(self) -> bool:
        """Auto-J's agreement: both orders say the label."""
        return self.forward == self.back == self.label

    @property
    def correct(self) -> bool:
        """JudgeBench's rule: (right, tie) is right, (right, wrong) is not."""
        return two_games(self.forward, self.back) == self.label


def two_games(forward: Said, back: Said) -> Winner:
    """The winner of more of two games, where a tie and a missing verdict are worth nothing."""
    votes = _VOTE[forward] + _VOTE[back]
    return "a" if votes > 0 else "b" if votes < 0 else "tie"


def bpde(samples: Sequence[Winner]) -> float:
    """FairEval's balanced position diversity entropy of the single verdicts, in nats.

    0 for a unanimous set, ln 2 for as many wins as losses; 0 for none.
    """
    shares = [count / len(samples) for count in Counter(samples).values()]
    return -sum(share * math.log(share) for share in shares if share < 1)


def same_winner(rated: Sequence[Preference], ranked: Sequence[Preference]) -> list[bool | None]:
    """Whether a judge by ratings and one by rankings agree, pair by pair; ties count.

    None where either has no preference. The share that is False is what Bansal et al. call
    inconsistency.
    """
    return [
        None if one.winner is None or other.winner is None else one.winner == other.winner
        for one, other in zip(rated, ranked, strict=True)
    ]
