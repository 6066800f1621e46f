"""The constitution that follows from a moral graph: its wisest values and why they were held to be.

Leaves out: the graph itself (data/moral_graph.py), and eliciting (generators/moral_graph.py).
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from whyfirst.config.errors import DataError
from whyfirst.constitution import Constitution, Value
from whyfirst.data.moral_graph import edge_of, ranks


def constitution_of(rows: Iterable[Mapping[str, Any]], name: str, most: int = 5) -> Constitution:
    """The values ranked highest, with why they were held to be wiser and what they attend to.

    Args:
        rows: of the generator `moral_graph`: an edge's votes with its `why` and `policies`.

    Raises:
        DataError: people agree on no edge, or two of the values have titles that give one id.
    """
    every = list(rows)
    rank = ranks([edge_of(row) for row in every])
    if not rank:
        raise DataError("people agree on no edge of the moral graph, so no value follows from it")
    best = sorted(rank, key=lambda value: (-rank[value], value))[:most]
    agreed = [row for row in every if edge_of(row).kept]
    values, titles = [], dict[str, str]()
    for title in best:
        # What people voted down is why they do not hold the value wiser.
        mine = [row for row in agreed if row["to"] == title]
        policies = next((r["policies"] for r in every if r["to"] == title), None) or next(
            r["from_policies"] for r in every if r["from"] == title)  # fmt: skip
        reasons = _distinct(row["why"] for row in mine)
        ident = re.sub(r"[^a-z0-9]+", "_", title.lower()).strip("_")
        ident = ident if ident[:1].isalpha() else f"value_{ident}"
        if ident in titles:
            raise DataError(
                f"moral graph: the values {titles[ident]!r:.60} and {title!r:.60} have one id, "
                f"{ident!r:.60}; give one of them another title, or both the same"
            )
        titles[ident] = title
        values.append(Value(
            id=ident, name=title,
            statement=f"{title}.", reasons=reasons or ["People held it to be wise."],
            upheld_by=[f"attends to {policy}" for policy in _distinct(policies)],
            violated_by=[],
        ))  # fmt: skip
    return Constitution(name=name, values=values)


def _distinct(texts: Iterable[object]) -> list[str]:
    """The first of all that differ in no more than case, a full stop and blanks round them."""
    # As a constitution tells its entries apart: it refuses two that are one.
    found: dict[str, str] = {}
    for text in map(str, texts):
        found.setdefault(text.strip().rstrip(".").casefold(), text)
    return list(found.values())
