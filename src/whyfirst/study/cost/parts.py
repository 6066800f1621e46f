"""The rows of a cost estimate, and what the kinds of node are asked them from."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from whyfirst.data.rows import Which
from whyfirst.study.cost.arithmetic import Shape
from whyfirst.study.execute.graph import Node
from whyfirst.study.execute.store import Store
from whyfirst.study.schema import StudyFile

CHARACTERS = 4.0
"""Characters of English text a token, where no tokenizer is at hand; byte-pair vocabularies of
30,000 to 50,000 entries give 4 to 4.7."""


@dataclass(frozen=True)
class Work:
    """One kind of node and what one of them costs.

    Attributes:
        kind, name: ``explain`` etc. or ``evaluation``, and the stage's or benchmark's name.
        nodes, left: how many there are after sharing, and how many of them are not in the store.
        tokens: trained or read and generated, by one of them.
        flops: of one of them.
        memory: bytes by part, at its peak.
        half: whether it computes in 16 bits.
        disk: bytes that one of them leaves in the store.
    """

    kind: str
    name: str
    nodes: int
    left: int
    tokens: float
    flops: float
    memory: dict[str, float]
    half: bool
    disk: float = 0.0

    @property
    def peak(self) -> float:
        """Bytes of all parts together."""
        return sum(self.memory.values())


@dataclass(frozen=True)
class Calls:
    """What the remaining evaluations ask a model judge; `price` is None where none is given."""

    benchmark: str
    judges: tuple[str, ...]
    model: str
    calls: int
    tokens_in: int
    tokens_out: int
    price: float | None


@dataclass(frozen=True)
class Asked:
    """What a teacher or its judge will still be asked; `price` is None where none is given.

    If every answer is kept and as long as it was asked to be: rejected answers and hidden reasoning
    come on top.
    """

    written: str
    role: str
    model: str
    calls: int
    tokens_in: int
    tokens_out: int
    price: float | None


def work_name(node: Node) -> str:
    """What a node is called in an estimate: with the decoding methods that its model answers by."""
    methods = [use["name"] for use in node.payload.get("decoding", ())]
    return f"{node.name} by {', '.join(methods)}" if methods else node.name


class Lengths(Protocol):
    """Rows and lengths of a plan's corpora."""

    def corpus(
        self, name: str, limit: int, prompts: bool, turns: Which = "last"
    ) -> tuple[int, float, float]:
        """(rows, mean tokens of a row cut at `limit`, tokens of all rows); `prompts`: of these."""
        ...


@dataclass(frozen=True)
class Ahead:
    """What a kind of node reckons its remaining work from.

    Attributes:
        shape, lengths: of the model and the corpora; None where the model's size isn't known, and
            then only calls are reckoned.
    """

    study: StudyFile
    nodes: Sequence[Node]
    store: Store
    shape: Shape | None
    lengths: Lengths | None

    def of_kind(self, kind: str) -> list[Node]:
        """The nodes of one kind."""
        return [node for node in self.nodes if node.kind == kind]

    def by_name(self, kind: str) -> dict[str, list[Node]]:
        """The same by what the study file calls them: nodes that cost alike."""
        found: dict[str, list[Node]] = {}
        for node in self.of_kind(kind):
            found.setdefault(node.name, []).append(node)
        return found

    def left(self, nodes: Sequence[Node]) -> int:
        """How many of them aren't in the store."""
        return sum(not self._complete[node.key] for node in nodes)

    @cached_property
    def _complete(self) -> dict[tuple[str, str], bool]:
        return {node.key: self.store.complete(*node.key) for node in self.nodes}


def price(price_in: float | None, price_out: float | None, read: int, written: int) -> float | None:
    """In the prices' currency; prices are per million tokens. None where one is missing."""
    if price_in is None or price_out is None:
        return None
    return (read * price_in + written * price_out) / 1e6
