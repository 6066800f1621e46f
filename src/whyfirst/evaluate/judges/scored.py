"""A judge made of a scorer: the response with the higher score is the better one.

Blind to order by construction, and so the control in every test of position bias; ratings as Bansal
et al. 2023 (arXiv 2308.15812) hold them against rankings (`protocols.same_winner`). Leaves out:
rating on a scale that the scorer doesn't have.
"""

from collections.abc import Sequence

from whyfirst.config.room import Use
from whyfirst.evaluate.item import Item
from whyfirst.evaluate.judges import JUDGES, Judge, Pair, Preference, Winner
from whyfirst.evaluate.scorers import SCORERS, Scorer, make_scorer
from whyfirst.evaluate.verdict import Verdict
from whyfirst.models.base import LanguageModel

VERSION = "1"


@JUDGES.enter(
    "scored",
    version=VERSION,
    paper="Bansal et al. 2023, arXiv 2308.15812",
    needs="what the scorer needs",
    draws=False,
    scores=True,
    orders=2,  # it sees no slot
    methods={"scorer": SCORERS},
    tested="swapping a pair swaps its winner; the margin makes a tie",
)
def scored(
    *, scorer: str | Use = "helpful", margin: float = 0.0, model: LanguageModel | None = None
) -> Judge:
    """The response that a scorer gives the higher score.

    Args:
        scorer: which, as a benchmark names it.
        margin: how far apart the two scores must be; within it is a tie.
    """
    return ScoredJudge(make_scorer(scorer, model), margin)


class ScoredJudge(Judge):
    """Compares two scores; see `scored`."""

    def __init__(self, scorer: Scorer, margin: float = 0.0) -> None:
        self.scorer, self.margin = scorer, margin
        self.name, self.criterion = f"scored:{scorer.name}", scorer.question
        self.version = f"{VERSION}-{scorer.version}"

    def decide(self, pairs: Sequence[Pair], samples: int) -> list[Preference]:
        """See `Judge.decide`; a scorer says the same every time."""
        items = [Item(pair.id, pair.prompt, pair.prompt) for pair in pairs]
        found = self.scorer.score(
            [*items, *items], [*(pair.a for pair in pairs), *(pair.b for pair in pairs)]
        )
        half = len(pairs)
        return [self._better(*two) for two in zip(found[:half], found[half:], strict=True)]

    def _better(self, a: Verdict, b: Verdict) -> Preference:
        if a.score is None or b.score is None:
            missing = a if a.score is None else b
            return Preference(None, missing.reason, transient=missing.transient, raw=missing.raw)
        apart = a.score - b.score
        winner: Winner = "tie" if abs(apart) <= self.margin else "a" if apart > 0 else "b"
        return Preference(winner, scores=(a.score, b.score))
