"""Which numbered option a response chose: ``choice``.

A response passes that chose one of the item's `correct` options. Read as Phelps and Ranson 2023
(arXiv 2307.11137) do, the last ``Choice: N`` counting. Leaves out: choices in words.
"""

import re
from collections.abc import Sequence

from whyfirst.evaluate.item import Item
from whyfirst.evaluate.scorers import SCORERS, Scorer
from whyfirst.evaluate.verdict import Verdict, passed, unscored

_CHOICE = re.compile(r"\bchoice\W{0,6}(?:option\s+|product\s+)?(\d+)", re.IGNORECASE)


class ChoiceScorer(Scorer):
    """See `choice`."""

    name, version, question = "choice", "1", "chose"

    def read(self, items: Sequence[Item], responses: Sequence[str]) -> list[Verdict]:
        """See `Scorer.read`."""
        out = []
        for item, response in zip(items, responses, strict=True):
            found = _CHOICE.findall(response)
            out.append(passed(found[-1] in item.correct) if found else unscored("no choice stated"))
        return out


@SCORERS.enter(
    "choice", question="chose", paper="Phelps and Ranson 2023, arXiv 2307.11137",
    needs="items whose reference is the number of an option",
    tested="numbers in the explanation don't count; the last choice does",
)  # fmt: skip
def choice() -> Scorer:
    """Whether the numbered option that a response states is the one looked for."""
    return ChoiceScorer()
