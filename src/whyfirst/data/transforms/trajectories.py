"""What an agent did, as a list of tool calls; and how like two of them are.

MAG-V, arXiv 2412.04494. Leaves out: running tools, and what a call gave back.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from whyfirst.models.embed import Embed

Trajectory = Sequence[Mapping[str, Any]]
"""Calls in order, each ``{tool, arguments}``."""
FEATURES = ("exact", "edit", "graph", "arguments", "response")


def features(one: Trajectory, other: Trajectory, said: Sequence[str], embed: Embed) -> list[float]:
    """How like two trajectories and what was `said` after each are, 0 to 1, by `FEATURES`."""
    tools = [[str(call["tool"]) for call in calls] for calls in (one, other)]
    size = sum(len(_graph(names)) for names in tools) or 1
    given = [{(call["tool"], *pair) for call in calls for pair in _pairs(call)}
             for calls in (one, other)]  # fmt: skip
    vectors = embed(list(said))
    return [
        float(list(map(_whole, one)) == list(map(_whole, other))),
        1 - edit_distance(*tools) / (max(map(len, tools)) or 1),
        1 - graph_distance(*tools) / size,
        len(given[0] & given[1]) / len(given[0] | given[1]) if any(given) else 1.0,
        float(vectors[0] @ vectors[1]),
    ]


def edit_distance(one: Sequence[str], other: Sequence[str]) -> int:
    """Insertions, deletions and substitutions from one list to the other."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        before, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return row[-1]


def graph_distance(one: Sequence[str], other: Sequence[str]) -> int:
    """Tools and steps from tool to tool to add or take away: the graph edit distance.

    Exact for graphs whose nodes have different labels and where relabelling costs two edits.
    """
    return len(_graph(one) ^ _graph(other))


def _graph(tools: Sequence[str]) -> set[tuple[str, ...]]:
    return {(tool,) for tool in tools} | set(pairwise(tools))


def _pairs(call: Mapping[str, Any]) -> list[tuple[str, str]]:
    given = call.get("arguments")
    return [(str(k), str(v)) for k, v in given.items()] if isinstance(given, Mapping) else []


def _whole(call: Mapping[str, Any]) -> tuple[str, tuple[tuple[str, str], ...]]:
    return str(call["tool"]), tuple(sorted(_pairs(call)))
