"""Moral graphs: which value people hold to be wiser than which, and the constitution that follows.

Klingefjord et al. 2024, "What are human values, and how do we align AI to them?", arXiv 2404.10636.
Edges that enough people agree on are ranked by PageRank. Two errors of the released code are not
copied: entropy counts votes only (theirs counts impressions too), and what dangling values hold
goes round, so that ranks sum to 1. Leaves out: eliciting (explain/generators/moral_graph.py) and
asking a model which is wiser (the audit `moral_graph`).
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from whyfirst.config.errors import DataError
from whyfirst.constitution import Constitution, Value


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
    """A row of ``context, from, to, wiser, less, unsure``; numbers left out are 0."""
    votes = (int(row.get(name, 0)) for name in ("wiser", "less", "unsure"))
    return Edge(str(row["context"]), str(row["from"]), str(row["to"]), *votes)


def ranks(edges: Sequence[Edge], damping: float = 0.85, rounds: int = 100) -> dict[str, float]:
    """PageRank of the values over the kept edges, weighted by likelihood; sums to 1."""
    kept = [edge for edge in edges if edge.kept]
    names = sorted({name for edge in kept for name in (edge.start, edge.to)})
    out = {name: sum(e.likelihood for e in kept if e.start == name) for name in names}
    rank = {name: 1 / len(names) for name in names}
    for _ in range(rounds if names else 0):
        dangling = sum(rank[name] for name in names if out[name] == 0)
        base = (1 - damping + damping * dangling) / len(names)
        new = dict.fromkeys(names, base)
        for edge in kept:
            new[edge.to] += damping * rank[edge.start] * edge.likelihood / out[edge.start]
        rank = new
    return rank


def constitution_of(rows: Iterable[Mapping[str, Any]], name: str, most: int = 5) -> Constitution:
    """The values ranked highest, with why they were held to be wiser and what they attend to.

    Args:
        rows: of the generator `moral_graph`: an edge's votes with its `why` and `policies`.

    Raises:
        DataError: people agree on no edge.
    """
    every = list(rows)
    rank = ranks([edge_of(row) for row in every])
    if not rank:
        raise DataError("people agree on no edge of the moral graph, so no value follows from it")
    best = sorted(rank, key=lambda value: (-rank[value], value))[:most]
    values = []
    for title in best:
        mine = [row for row in every if row["to"] == title]
        policies = next((r["policies"] for r in every if r["to"] == title), None) or next(
            r["from_policies"] for r in every if r["from"] == title)  # fmt: skip
        reasons = list(dict.fromkeys(str(row["why"]) for row in mine))
        ident = re.sub(r"[^a-z0-9]+", "_", title.lower()).strip("_")
        values.append(Value(
            id=ident if ident[:1].isalpha() else f"value_{ident}", name=title,
            statement=f"{title}.", reasons=reasons or ["People held it to be wise."],
            upheld_by=[f"attends to {policy}" for policy in dict.fromkeys(policies)],
            violated_by=[],
        ))  # fmt: skip
    return Constitution(name=name, values=values)
