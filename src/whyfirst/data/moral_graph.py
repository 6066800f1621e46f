"""Moral graphs: people's votes on which value is wiser than which, and the ranks that follow.

Klingefjord et al. 2024, "What are human values, and how do we align AI to them?", arXiv 2404.10636.
Edges that enough people agree on are ranked by PageRank. Two errors of the released code are not
copied: entropy counts votes only (theirs counts impressions too), and what dangling values hold
goes round, so that ranks sum to 1. Leaves out: eliciting (explain/generators/moral_graph.py),
asking a model which is wiser (the audit `moral_graph`), and the constitution.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from whyfirst.config.errors import DataError


class Edge(NamedTuple):
    """Votes on whether `to` is wiser than `start` in a context; reverse votes are less wise."""

    context: str
    start: str
    to: str
    wiser: int
    less: int
    unsure: int = 0

    @property
    def likelihood(self) -> float:
        """(wiser - less) / votes."""
        return (self.wiser - self.less) / (self.wiser + self.less + self.unsure)

    @property
    def entropy(self) -> float:
        """Of the votes, in bits."""
        votes = [n for n in (self.wiser, self.less, self.unsure) if n]
        return -sum(n / sum(votes) * math.log2(n / sum(votes)) for n in votes)

    @property
    def kept(self) -> bool:
        """Whether enough people agree: 2 votes, a likelihood of .33, an entropy of 1.69."""
        return self.wiser >= 2 and self.likelihood >= 0.33 and self.entropy <= 1.69


def edge_of(row: Mapping[str, Any]) -> Edge:
    """A row of ``context, from, to, wiser, less, unsure``; numbers left out are 0.

    Raises:
        DataError: votes that are no whole number of 0 or more; says whose.
    """
    votes = [row.get(name, 0) for name in ("wiser", "less", "unsure")]
    if not all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in votes):
        raise DataError(
            f"moral graph: the edge from {row['from']!r:.60} to {row['to']!r:.60} has votes "
            f"{votes!r:.80}; give whole numbers"
        )
    return Edge(str(row["context"]), str(row["from"]), str(row["to"]), *votes)


def ranks(edges: Sequence[Edge]) -> dict[str, float]:
    """PageRank of the values over the kept edges, weighted by likelihood; sums to 1."""
    kept = [edge for edge in edges if edge.kept]
    names = sorted({name for edge in kept for name in (edge.start, edge.to)})
    out = {name: sum(e.likelihood for e in kept if e.start == name) for name in names}
    rank = {name: 1 / len(names) for name in names}
    for _ in range(100 if names else 0):
        dangling = sum(rank[name] for name in names if out[name] == 0)
        base = (1 - 0.85 + 0.85 * dangling) / len(names)
        new = dict.fromkeys(names, base)
        for edge in kept:
            new[edge.to] += 0.85 * rank[edge.start] * edge.likelihood / out[edge.start]
        rank = new
    return rank
