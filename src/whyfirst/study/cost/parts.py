"""The rows of a cost estimate, what kinds of node reckon them from, and benchmarks run on nothing.

Any benchmark is run on a model that knows nothing and counts what it is asked; its records name
the items, topics, splits and framings of the design, its calls the tokens and judgements it will
take. Leaves out: how long answers will be (the most that may be generated is counted).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from whyfirst.config.errors import UserError
from whyfirst.evaluate.benchmark import Task
from whyfirst.evaluate.scorers import asks_a_model, make_scorer
from whyfirst.models.base import GREEDY, Completion, Loglikelihood, Prompt, Sampling
from whyfirst.models.reference import ModelRef
from whyfirst.study.cost.arithmetic import Shape
from whyfirst.study.execute.graph import Node, by_name
from whyfirst.study.execute.store import Store
from whyfirst.study.results.table import Table
from whyfirst.study.schema import StudyFile

if TYPE_CHECKING:
    from whyfirst.study.nodes.rows_ahead import CorpusLengths


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
        updates: of a stage's weights; of epochs as many as its rows are thought to make.
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
    updates: int | None = None

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


NOT_RUN = "rehearsed, not run"
_PROSE = (
    "there was once a small house by the river where nobody knew how many people had come to stay "
    "for the winter and what each of them would bring when summer returned to that quiet valley"
)
_WORDS = tuple(_PROSE.split())


@dataclass
class Tally:
    """What a model is asked in one run of a benchmark. Lengths of text are in characters.

    Attributes:
        calls: completions and scored prompts.
        read: all prompts and continuations that are read, each prompt once.
        generated: tokens, the most there can be.
        longest: the longest prompt with its continuation.
    """

    calls: int = 0
    read: int = 0
    generated: int = 0
    longest: int = 0


@dataclass
class Counting:
    """A `LanguageModel` that counts what it is asked.

    It says that it did not answer, or, with `talks`, gives the longest answer it may: words in
    their usual company, since a judge leaves aside what is no text.
    """

    talks: bool
    asked: Tally = field(default_factory=Tally)
    fingerprint: str = "rehearsal"
    chat_template: str = "rehearsal"

    def generate(
        self, prompts: Sequence[Prompt], n: int = 1, sampling: Sampling = GREEDY
    ) -> list[list[Completion]]:
        for prompt in prompts:
            self._read(prompt, ())
            self.asked.calls += n
            self.asked.generated += n * sampling.max_new_tokens
        answer = Completion("", False, NOT_RUN)
        if self.talks:
            count, words = sampling.max_new_tokens, len(_WORDS)
            said = (_WORDS[(at + at // words * 7) % words] for at in range(count))
            answer = Completion(" ".join(said), False)
        return [[answer] * n for _ in prompts]

    def loglikelihood(
        self, requests: Sequence[tuple[Prompt, Sequence[str]]]
    ) -> list[list[Loglikelihood]]:
        for prompt, texts in requests:
            self.asked.calls += 1
            self._read(prompt, texts)
        unknown = Loglikelihood(float("nan"), 0, NOT_RUN)
        return [[unknown] * len(texts) for _, texts in requests]

    def _read(self, prompt: Prompt, texts: Sequence[str]) -> None:
        parts = [prompt] if isinstance(prompt, str) else [turn.content for turn in prompt]
        length = sum(map(len, parts))
        self.asked.read += length + sum(map(len, texts))
        self.asked.longest = max(self.asked.longest, length + max(map(len, texts), default=0))


@dataclass(frozen=True)
class Rehearsal:
    """What a benchmark's run asks of the model and of the judges' model; its items by metric."""

    asked: Tally
    judging: Tally
    tables: dict[str, Table]

    @property
    def bytes(self) -> float:
        """About what its items take on disk: everything read or written, and each item's names."""
        items = sum(len(table.items) for table in self.tables.values())
        return float(self.asked.read + 4 * self.asked.generated + 200 * items)

    @property
    def only_likelihoods(self) -> bool:
        """Whether it asks how likely given texts are, and for no response."""
        return self.asked.calls > 0 and self.asked.generated == 0


def rehearse(design: str, judges: Sequence[str], task: Callable[[], Task]) -> Rehearsal | None:
    """`rehearsed`, once in a process for each design.

    Args:
        design: what tells one state of the benchmark's options and data from another.
        task: makes what the benchmark asks.
    """
    if design not in _REHEARSED:
        _REHEARSED[design] = rehearsed(judges, task)
    return _REHEARSED[design]


def rehearsed(judges: Sequence[str], task: Callable[[], Task]) -> Rehearsal | None:
    """Run a benchmark on nothing; somebody's benchmark that needs real answers gives None.

    Args:
        judges: the scorers named for it; those that ask a model ask one that counts.
        task: makes what the benchmark asks.

    Raises:
        UserError: as the benchmark's run does.
    """
    nobody = Counting(talks=False)
    scorers = [make_scorer(spec, nobody) for spec in judges if asks_a_model(spec)]
    model = Counting(talks=bool(scorers))
    found: Rehearsal | None = Rehearsal(model.asked, nobody.asked, {})
    try:
        records = task().run(model, scorers, lambda done, total, what: None)
    except UserError:
        raise
    except Exception:
        # Somebody's benchmark that needs real answers: it is known when it runs.
        records, found = [], None
    for record in records:
        if found is not None:
            found.tables.setdefault(record.benchmark, Table()).add(0, record.to_json())
    return found


_REHEARSED: dict[str, Rehearsal | None] = {}  # by design
