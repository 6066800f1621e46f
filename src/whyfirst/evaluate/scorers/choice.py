"""Which numbered option a response chose: ``choice``.

A response passes that chose one of the item's `correct` options. Read as Phelps and Ranson 2023
(arXiv 2307.11137) do, the last ``Choice: N`` counting; a form left as it is (``1 or 2``) chooses
nothing. Leaves out: choices in words.
"""

import re
from collections.abc import Sequence

from whyfirst.evaluate.item import Item
from whyfirst.evaluate.scorers import SCORERS, Scorer
from whyfirst.evaluate.verdict import Verdict, passed, unscored

_OPTION = r"(?:option\s+|product\s+)?"
_OR = r"[^\w\n]{0,4}(?:or|and|[/,|&])[^\w\n]{0,4}"
_CHOICE = re.compile(rf"\bchoice\W{{0,6}}{_OPTION}(\d+)(?!\d|{_OR}{_OPTION}\d)", re.IGNORECASE)


class ChoiceScorer(Scorer):
    """See `choice`."""

    name, version, question = "choice", "2", "chose"

    def read(self, items: Sequence[Item], responses: Sequence[str]) -> list[Verdict]:
        """See `Scorer.read`."""
        out = []
        for item, response in zip(items, responses, strict=True):
            found = _CHOICE.findall(response)
            out.append(passed(found[-1] in item.correct) if found else unscored("no choice stated"))
        return out


@SCORERS.enter(
    "choice", version="2", question="chose", paper="Phelps and Ranson 2023, arXiv 2307.11137",
    needs="items whose reference is the number of an option",
    tested="numbers in the explanation don't count; the last choice does",
)  # fmt: skip
def choice() -> Scorer:
    """Whether the numbered option that a response states is the one looked for."""
    return ChoiceScorer()
