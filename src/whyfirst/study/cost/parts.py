"""The rows of a cost estimate, and what the kinds of node are asked them from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from whyfirst.models.reference import ModelRef
from whyfirst.study.cost.arithmetic import Shape
from whyfirst.study.execute.graph import Node, by_name
from whyfirst.study.execute.store import Store
from whyfirst.study.schema import StudyFile

if TYPE_CHECKING:
    from whyfirst.study.nodes.corpus import CorpusLengths

# Characters of English text a token, where no tokenizer is at hand; byte-pair vocabularies of
# 30,000 to 50,000 entries give 4 to 4.7.
CHARACTERS = 4.0


@dataclass(frozen=True)
class Work:
    """Nodes that cost alike, and what one of them costs.

    Attributes:
        kind, name: ``explain`` etc. or ``evaluation``, and the stage's or benchmark's name with the
            methods that the model answers by.
        of: ids of the nodes; two rows may have one name, as of one method with two options.
        left: how many of them are not in the store.
        tokens: trained or read and generated, by one of them.
        flops: of one of them.
        memory: bytes by part, at its peak.
        half: whether it computes in 16 bits.
        disk: bytes that one of them leaves in the store.
    """

    kind: str
    name: str
    of: tuple[str, ...]
    left: int
    tokens: float
    flops: float
    memory: dict[str, float]
    half: bool
    disk: float = 0.0

    @property
    def nodes(self) -> int:
        """How many there are, after sharing."""
        return len(self.of)

    @property
    def peak(self) -> float:
        """Bytes of all parts together."""
        return sum(self.memory.values())


@dataclass(frozen=True)
class Questions:
    """What a model will still be asked; `price` is None where none is given."""

    model: str
    calls: int
    tokens_in: int
    tokens_out: int
    price: float | None

    @classmethod
    def of(cls, model: Mapping[str, Any], calls: int, read: int, written: int, *about: Any) -> Self:
        """Questions to a model given by fields of a `ModelRef`, a local one being free.

        Args:
            about: whose questions these are, as the fields of the class say it.
        """
        if model is None:
            return cls("the study's model", calls, read, written, 0.0, *about)
        ref = model if isinstance(model, ModelRef) else ModelRef(**model)
        price: float | None = None
        if ref.endpoint is None:
            price = 0.0
        elif ref.price_in is not None and ref.price_out is not None:
            # Prices are per million tokens.
            price = (read * ref.price_in + written * ref.price_out) / 1e6
        return cls(ref.name, calls, read, written, price, *about)


@dataclass(frozen=True)
class Calls(Questions):
    """What the remaining evaluations ask a judges' model."""

    benchmark: str
    judges: tuple[str, ...]


@dataclass(frozen=True)
class Asked(Questions):
    """What a teacher or its judge (the `role`) will still be asked.

    If every answer is kept and as long as it was asked to be: rejected answers and hidden reasoning
    come on top.
    """

    written: str
    role: str


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
    lengths: "CorpusLengths | None"

    def of_kind(self, kind: str) -> list[Node]:
        """The nodes of one kind."""
        return [node for node in self.nodes if node.kind == kind]

    def by_name(self, kind: str) -> dict[str, list[Node]]:
        """The same by what the study file calls them: nodes that cost alike."""
        return by_name(self.nodes, kind)

    def left(self, nodes: Sequence[Node]) -> int:
        """How many of them aren't in the store."""
        return sum(not self._complete[node.key] for node in nodes)

    @cached_property
    def _complete(self) -> dict[tuple[str, str], bool]:
        return {node.key: self.store.complete(*node.key) for node in self.nodes}
