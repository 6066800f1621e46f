"""What a benchmark is: what it declares, and the task it makes of its options.

A benchmark is entered with `benchmark` over a function of its options (typed, keyword-only), which
reads its data and gives a `Task`: mostly `responses.Responses` (items, asked once, and scorers) or
`likelihoods.Likelihoods`. A file in benchmarks/ is found by itself; so is a plug-in, and the entry
point group ``whyfirst.benchmarks``. Leaves out: statistics over the records.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

from whyfirst.config.errors import UserError
from whyfirst.config.room import Room, Use
from whyfirst.evaluate.gaps import Gaps
from whyfirst.evaluate.item import ItemResult
from whyfirst.evaluate.scorers import Scorer
from whyfirst.models.base import LanguageModel

Unit = Literal["proportion", "score"]
Progress = Callable[[int, int, str], None]  # done, total, what
F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Metric:
    """One number a benchmark gives, the mean of its items' scores.

    Args:
        name: the `benchmark` field of its item results.
        title: for a table's head.
        definition: one sentence that leaves no second reading; stored with every score.
        unit: "proportion" of passes, or mean "score".
        higher_is_better: False for a rate of something unwanted, whose items pass when it happens.
        beside: metrics this one misleads without; a table shows them with it, or says that they
            were not measured.
        happened: what an item that passes and one that fails did, as a report says it
            (``("refused", "answered")``).
        chance: the value that guessing has, where there is one.
        opposite: True where an item passes when its judge says no to the judge's question; None
            where that differs by item, so that no rate can be corrected for the error of a judge.
        acts: which way it goes in a model that does more of what it is asked, where it says that.
        wants: what a good answer is, in a word, where a report's examples show the metric's items.
        readings: what an item that passes and one that fails were read as, where demonstrations fit
            two readings; on a world's other side (`Subject.side`) it is the other way round.
        neutral: it describes, and no value is better than another (a stance): nothing of it is
            shown as good or bad.
        pass_is_good: where passing is told apart from being high: a verdict of its own beside a
            score of which less is better.
        much: by how much worse than before training says that training broke something.
    """

    name: str
    title: str
    definition: str
    unit: Unit = "proportion"
    higher_is_better: bool = True
    beside: tuple[str, ...] = ()
    happened: tuple[str, str] = ("pass", "fail")
    chance: float | None = None
    opposite: bool | None = False
    wants: str = ""
    readings: tuple[str, str] | None = None
    neutral: bool = False
    acts: Literal["higher", "lower"] | None = None
    pass_is_good: bool | None = None
    much: float = 0.1

    @property
    def good(self) -> Literal["pass", "fail", "neither"]:
        """The verdict a reader hopes for: a rate of something unwanted passes when it happens."""
        if self.neutral:
            return "neither"
        good = self.higher_is_better if self.pass_is_good is None else self.pass_is_good
        return "pass" if good else "fail"


@dataclass(frozen=True)
class Subject:
    """Whom an item of an embedded world asks.

    Attributes:
        who: its name within the world: subjects are drawn with the world, as topics are.
        kind: which of a few kinds the design has as many of; a report tells them apart.
        side: of the world, which decides which of two readings is the subject's value.
    """

    who: str
    kind: str
    side: int


@dataclass(frozen=True)
class Axes:
    """Two axes that a benchmark's items vary on, for the 2 x 2 that leads a report.

    Each is (label, split) or (label, framing) pairs, as in a cell's key ``split/framing``.
    """

    splits: tuple[tuple[str, str], ...]
    framings: tuple[tuple[str, str], ...]


class Task(Protocol):
    """A benchmark with its options: what is asked, and the asking."""

    @property
    def prompts(self) -> list[str]:
        """The texts the model is tested on, which training documents must not contain."""
        ...

    def run(
        self, model: LanguageModel, scorers: Sequence[Scorer], progress: Progress
    ) -> list[ItemResult]:
        """One record an item and metric; an answer that failed is unscored with its reason."""
        ...


def in_batches(
    items: Sequence[T],
    ask: Callable[[Sequence[T]], Sequence[R]],
    progress: Progress,
    size: int = 256,
) -> list[R]:
    """What is answered to every item, asked some at a time with progress told before each.

    Args:
        size: items between two reports of progress; large enough for batches of like lengths.
    """
    found: list[R] = []
    for start in range(0, len(items), size):
        progress(start, len(items), "items")
        found += ask(items[start : start + size])
    progress(len(items), len(items), "items")
    return found


BENCHMARKS: Room[Task] = Room(
    "benchmarks",
    "whyfirst.evaluate.benchmarks",
    "whyfirst.evaluate.audits",
    context=("seed", "world"),
)


@dataclass(frozen=True)
class Benchmark:
    """What a benchmark declares before anything is read; `version` changes whenever a score could.

    Args:
        needs: what its option `data` must be, or "nothing".
        source, licence: where its data come from.
        questions: those of the scorers it takes.
        by: the item fields its result is broken down by.
        gaps: compares groups.
        axes: those of the 2 x 2 that a report leads with.
        subject: whom an item asks, by the item's id, where a world has several.
        example: the least data it reads, by file name: what they look like, and what it is tested
            on.
    """

    name: str
    version: str
    definition: str
    needs: str
    metrics: tuple[Metric, ...]
    source: str = ""
    licence: str = ""
    questions: tuple[str, ...] = ()
    by: tuple[str, ...] = ()
    gaps: Gaps | None = None
    axes: Axes | None = None
    subject: Callable[[str], Subject] | None = None
    example: Mapping[str, str] = field(default_factory=dict)

    @property
    def options(self) -> tuple[str, ...]:
        """Names of its options."""
        return tuple(option.name for option in BENCHMARKS.get(self.name).options)

    def task(
        self, *, seed: int = 0, world: int | None = None, nulls: Sequence[str] = (), **options: Any
    ) -> Task:
        """What it asks under some options; those that are None count as not given.

        Args:
            seed: the arm's, for benchmarks whose items depend on it.
            world: the seed of the embedded world, for the benchmarks of one.
            nulls: options that are meant to be None, where a default is another: a limit of none.

        Raises:
            UserError: an option it doesn't take or that is wrong, or its data are missing.
            DataError: the data can't be read.
        """
        # The command line says "not given" by None, and a default is the benchmark's own to say.
        given = {name: value for name, value in options.items() if value is not None}
        every = BENCHMARKS.get(self.name).options
        given |= {option.name: None for option in every
                  if option.name in nulls and option.may_be_null}  # fmt: skip
        if "data" in self.options and "data" not in given:
            raise UserError(f"benchmark {self.name!r} needs data: {self.needs}")
        # Through the room, so that the command line and a study file are held to the same options.
        use = Use.model_validate({"name": self.name, **given})
        task: Task = BENCHMARKS.make(use, seed=seed, world=world)
        return task


def benchmark(
    name: str,
    *,
    version: str,
    definition: str,
    needs: str = "nothing",
    metrics: Sequence[Metric] = (),
    places: Sequence[str] = (),
    **more: Any,
) -> Callable[[F], F]:
    """Decorator: enter a function of a benchmark's options that gives its `Task`.

    Args:
        metrics: none given means one, of the benchmark's own name and definition.
        places: options that are the name of what ships or a file of one's own.
        more: the other fields of `Benchmark`.
    """
    # A benchmark of one number needs no second name for it.
    given = tuple(metrics) or (Metric(name, name.replace("_", " ").capitalize(), definition),)
    declared = Benchmark(name, version, definition, needs, given, **more)
    return BENCHMARKS.enter(
        name, version=version, paper=declared.source, licence=declared.licence, needs=needs,
        benchmark=declared, places=tuple(places),
    )  # fmt: skip


def benchmark_named(name: str) -> Benchmark:
    """What the benchmark called `name` declares.

    Raises:
        UserError: there is none; gives the nearest one.
    """
    # A plug-in may enter a plain function; its task would run and no report could name it.
    declared = BENCHMARKS.get(name).facts.get("benchmark")
    if declared is None:
        raise UserError(f"benchmark {name!r} was entered without the decorator `benchmark`")
    found: Benchmark = declared
    return found


def all_benchmarks() -> list[Benchmark]:
    """What every benchmark declares, by name."""
    return [benchmark_named(name) for name in BENCHMARKS.names()]


def side_by_side(metrics: Sequence[Metric]) -> list[Metric]:
    """The metrics in their order, each followed by those it is to be shown beside."""
    by_name = {metric.name: metric for metric in metrics}
    ordered: dict[str, Metric] = {}
    for metric in metrics:
        # A metric that is another's company moves up to it and isn't shown again.
        for name in (metric.name, *metric.beside):
            if name in by_name:
                ordered.setdefault(name, by_name[name])
    return list(ordered.values())


def unaccompanied(metrics: Sequence[Metric]) -> dict[str, tuple[str, ...]]:
    """Metric -> the metrics it misleads without and that are not among them."""
    names = {metric.name for metric in metrics}
    missing = {m.name: tuple(n for n in m.beside if n not in names) for m in metrics}
    return {name: lacking for name, lacking in missing.items() if lacking}
