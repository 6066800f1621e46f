"""A selector: the rows with the longest responses.

Zhao et al. 2024, "Long Is More for Alignment", arXiv 2402.04833: the thousand longest responses of
a set are a baseline that selection by quality seldom beats. Leaves out: refining them.
"""

from collections.abc import Sequence

from whyfirst.data.transforms import SELECTORS, Row


@SELECTORS.enter(
    "longest",
    paper="Zhao et al. 2024, arXiv 2402.04833",
    needs="completion",
    tested="three hand-counted rows; of equally long ones the first; ascending order",
)
def longest(rows: Sequence[Row], n: int, *, column: str = "completion") -> list[int]:
    """The `n` rows with most words in a column."""
    words = [len(str(row[column]).split()) for row in rows]
    return sorted(sorted(range(len(rows)), key=lambda at: -words[at])[:n])
