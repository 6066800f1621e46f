"""The graph of work a study comes down to: nodes, their fingerprints, their order.

A node is one stage or evaluation with everything needed to run it. This module checks a graph and
ranks its nodes; it leaves out where results live (`store`) and how they are computed (`executor`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any

from whyfirst.config.errors import UserError
from whyfirst.config.files import sha256_json

FINGERPRINT_DIGITS = 24
# Whose versions reach a result, and so its fingerprint.
LIBRARIES = ("torch", "transformers", "tokenizers", "trl", "accelerate", "peft", "numpy")


@dataclass(frozen=True)
class Node:
    """One unit of work whose result is a folder in the store.

    Attributes:
        id: label for people, unique in its graph, e.g. `explain_first/explain/seed=0`.
        kind: what is computed; lower-case letters, digits, `_` and `-`.
        name: what the study file calls it (a stage, a benchmark); nodes of one name are alike.
        fingerprint: identity of the result, from `make_fingerprint`. Nodes of one graph may share
            kind and fingerprint; they are then computed once.
        depends: ids of the nodes whose folders this one reads.
        payload: JSON object with all the runner needs.
        weight: rough duration in seconds, for the order of work and for estimates of time left.
        after: ids of nodes (checks) that must be complete before this one starts and whose folders
            it doesn't read: they can stop it and can't change its result, so they are no part of
            its fingerprint.
        rank: nodes of a lower rank are started first; a study's is the seed, so that a run that is
            cut off leaves whole seeds behind it and not the first stages of all.
        reads: path -> content hash of files and folders outside the store that it reads; part of
            the fingerprint already, and compared again where it runs.
    """

    id: str
    kind: str
    fingerprint: str
    depends: tuple[str, ...] = ()
    payload: dict[str, Any] = field(default_factory=dict)
    weight: float = 1.0
    after: tuple[str, ...] = ()
    rank: int = 0
    reads: dict[str, str] = field(default_factory=dict)
    name: str = ""

    @property
    def needs(self) -> tuple[str, ...]:
        """Everything that must be complete before it starts."""
        return (*self.depends, *self.after)

    @property
    def key(self) -> tuple[str, str]:
        """Kind and fingerprint: where the result lives."""
        return self.kind, self.fingerprint

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back."""
        return asdict(self) | {"depends": list(self.depends), "after": list(self.after)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Node":
        """The node that `to_json` wrote."""
        tuples = {name: tuple(data[name]) for name in ("depends", "after")}
        return cls(**{**data, **tuples})


def make_fingerprint(
    kind: str,
    kind_version: str,
    output_config: Mapping[str, Any],
    input_fingerprints: Mapping[str, str],
    libraries: Mapping[str, str],
) -> str:
    """Identity of a result: 24 hex digits of the SHA-256 over all that can change its bytes.

    Args:
        kind: the node's kind.
        kind_version: version of the code of that kind.
        output_config: only the fields that affect output; runtime-only ones must not be in it.
        input_fingerprints: fingerprints (or content hashes) of the inputs, by their role.
        libraries: versions of the libraries whose numerics or formats reach the result.
    """
    identity = {
        "kind": kind,
        "kind_version": kind_version,
        "config": dict(output_config),
        "inputs": dict(input_fingerprints),
        "libraries": dict(libraries),
    }
    return sha256_json(identity)[:FINGERPRINT_DIGITS]


def by_name(nodes: Iterable[Node], kind: str) -> dict[str, list[Node]]:
    """The nodes of a kind by what the study file calls them: alike but for their seeds."""
    named: dict[str, list[Node]] = {}
    for node in nodes:
        if node.kind == kind:
            named.setdefault(node.name, []).append(node)
    return named


def check_graph(nodes: Sequence[Node]) -> list[Node]:
    """The nodes in an order where each follows what it depends on.

    Raises:
        UserError: a duplicate id, a dependency that isn't in the graph, or a cycle (spelled out).
    """
    by_id = {node.id: node for node in nodes}
    if len(by_id) != len(nodes):
        ids = [node.id for node in nodes]
        twice = sorted({name for name in ids if ids.count(name) > 1})
        raise UserError(f"the study's graph names a node twice: {', '.join(twice)}")
    for node in nodes:
        for name in node.needs:
            if name not in by_id:
                raise UserError(f"{node.id} depends on {name}, which isn't in the study's graph")
    try:
        order = TopologicalSorter({node.id: node.needs for node in nodes}).static_order()
        return [by_id[name] for name in order]
    except CycleError as error:
        # Each needs the next, and the last the first.
        ids = error.args[1][:0:-1]
        first = ids.index(min(ids))
        cycle = [*ids[first:], *ids[:first], ids[first]]
        raise UserError(f"the study's graph has a cycle: {' needs '.join(cycle)}") from None


def remaining_path(order: Sequence[Node]) -> dict[str, float]:
    """Seconds from each node's start to the end of the longest chain behind it, by `weight`.

    Starting the nodes with the longest chain first keeps all workers busy to the end. `order` is
    what `check_graph` returned.
    """
    tail = {node.id: 0.0 for node in order}
    for node in reversed(order):
        tail[node.id] += node.weight
        for name in node.needs:
            tail[name] = max(tail[name], tail[node.id])
    return tail
