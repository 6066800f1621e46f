"""Published judgements, counted again: the counts that come out beside those that were published.

A reproduction is entered as a function of the folder of published files that gives figures; no
model is asked, so what differs is the counting. Leaves out: getting the files.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from whyfirst.config.room import Room
from whyfirst.stats.scores import Scores
from whyfirst.stats.statistics import Interval, mean_over_seeds, wilson


@dataclass(frozen=True)
class Figure:
    """One count.

    Args:
        what: what is counted.
        flags: one an item, whether it counts.
        published: the count as it was published.
        topics: what each item is about, to generalise over topics as well; none if not known.
        missing: the file that would be needed and isn't there; there are no flags then.
    """

    what: str
    published: int
    flags: Sequence[bool] = ()
    topics: Sequence[str] = ()
    missing: str = ""

    @property
    def ours(self) -> int | None:
        """The count; None where the file is missing."""
        return None if self.missing else sum(self.flags)

    @cached_property
    def over_items(self) -> Interval | None:
        """The share with Wilson's interval, the items being independent."""
        return wilson(sum(self.flags), len(self.flags)) if self.flags else None

    @cached_property
    def over_topics(self) -> Interval | None:
        """The share with an interval for other topics than these."""
        if not self.topics or not self.flags:
            return None
        rows = enumerate(zip(self.topics, self.flags, strict=True))
        scores = Scores.from_rows((0, str(at), topic, float(flag)) for at, (topic, flag) in rows)
        return mean_over_seeds(scores)


REPRODUCTIONS: Room[list[Figure]] = Room("reproductions", __name__)
