"""A scorer: does the response speak of what it was asked about?

Leaves out: other words for the same.
"""

from collections.abc import Sequence

from whyfirst.evaluate.item import Item
from whyfirst.evaluate.scorers import SCORERS, Scorer
from whyfirst.evaluate.verdict import Verdict, passed, unscored


class Mentions(Scorer):
    """Pass: one of the item's right words is in the response."""

    name, version, question = "mentions", "1", "to the point"

    def read(self, items: Sequence[Item], responses: Sequence[str]) -> list[Verdict]:
        """See `Scorer.read`; an empty response is unscored."""
        return [
            passed(any(word in response.lower().split() for word in item.correct))
            if response.strip()
            else unscored("empty response")
            for item, response in zip(items, responses, strict=True)
        ]


@SCORERS.enter("mentions", version="1", question="to the point")
def mentions() -> Scorer:
    """The response holds one of the words that the item is about."""
    return Mentions()
