"""What a benchmark is, and the record every score is kept in.

A benchmark is a registered function from a model to `ItemResult`s, one for each item and metric.
A response that can't be scored is "unscored" with a reason, never a pass or a fail. To add one:
decorate its function with `benchmark` and name its module in `BENCHMARKS` (or, in a package of
your own, the entry point group ``whyfirst.benchmarks``). Leaves out: statistics over the records.
"""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from whyfirst.config.errors import DataError, UserError
from whyfirst.config.registry import Registry
from whyfirst.config.suggest import did_you_mean
from whyfirst.models.base import LanguageModel

if TYPE_CHECKING:
    from whyfirst.evaluate.gaps import Gap
    from whyfirst.evaluate.judging import Judge

Verdict = Literal["pass", "fail", "unscored"]
Unit = Literal["proportion", "score"]
Progress = Callable[[int, int, str], None]  # done, total, what
I = TypeVar("I")  # noqa: E741


@dataclass(frozen=True)
class ItemResult:
    """One item's score under one metric.

    Args:
        id: the item, the same in every arm and seed.
        benchmark: the metric's name.
        verdict: pass, fail or unscored.
        reason: why it is unscored; None otherwise.
        score: a number in [0, 1]; for a plain pass/fail metric 1 or 0; None if unscored.
        prompt, response, target: texts to show; None where the data's text must not be copied.
        split, framing, topic, value, group: what a report groups by; None where it doesn't apply.
        judge: name and version of the judge that gave the verdict (``rules/1``); None where the
            benchmark's own rule did.
        offensive: True where the request or the response is offensive by design, so that a report
            shows it collapsed; None otherwise.
    """

    id: str
    benchmark: str
    verdict: Verdict
    reason: str | None = None
    score: float | None = None
    prompt: str | None = None
    response: str | None = None
    target: str | None = None
    split: str | None = None
    framing: str | None = None
    topic: str | None = None
    value: str | None = None
    group: str | None = None
    judge: str | None = None
    offensive: bool | None = None

    def __post_init__(self) -> None:
        if self.verdict not in ("pass", "fail", "unscored"):
            raise ValueError(f"{self.id}: no such verdict: {self.verdict!r}")
        if (self.verdict == "unscored") != bool(self.reason):
            raise ValueError(f"{self.id}: unscored needs a reason, and nothing else has one")
        if (self.verdict == "unscored") != (self.score is None):
            raise ValueError(f"{self.id}: unscored has no score, and everything else has one")
        if self.score is not None and not 0 <= self.score <= 1:  # NaN fails too
            raise ValueError(f"{self.id}: the score {self.score} is not in [0, 1]")

    @property
    def number(self) -> float:
        """The score, NaN if unscored."""
        return math.nan if self.score is None else self.score

    def to_json(self) -> dict[str, Any]:
        """All fields, as JSON types."""
        return asdict(self)

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> "ItemResult":
        """The inverse of `to_json`.

        Raises:
            DataError: a field is unknown, missing or out of range.
        """
        unknown = set(row) - {field.name for field in fields(cls)}
        if unknown:
            raise DataError(f"item result: unknown field {min(unknown)!r}")
        try:
            return cls(**row)
        except (TypeError, ValueError) as error:
            raise DataError(f"item result: {error}") from error


def judged(id: str, benchmark: str, passed: bool, **more: Any) -> ItemResult:  # noqa: A002
    """A pass (score 1) or a fail (score 0)."""
    verdict: Verdict = "pass" if passed else "fail"
    return ItemResult(id, benchmark, verdict, score=float(passed), **more)


def unscored(id: str, benchmark: str, reason: str, **more: Any) -> ItemResult:  # noqa: A002
    """An item that could not be scored, and why."""
    return ItemResult(id, benchmark, "unscored", reason=reason, **more)


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
        chance: the value that means "neither", where there is one.
        opposite: True where an item passes when its judge says no to the judge's question.
    """

    name: str
    title: str
    definition: str
    unit: Unit = "proportion"
    higher_is_better: bool = True
    beside: tuple[str, ...] = ()
    happened: tuple[str, str] = ("pass", "fail")
    chance: float | None = None
    opposite: bool = False

    @property
    def good(self) -> Verdict:
        """The verdict a reader hopes for: a rate of something unwanted passes when it happens."""
        return "pass" if self.higher_is_better or self.unit == "score" else "fail"


@dataclass(frozen=True)
class Axes:
    """Two axes that a benchmark's items vary on, for the 2 x 2 that leads a report.

    Each is (label, split) or (label, framing) pairs, as in a cell's key ``split/framing``.
    """

    splits: tuple[tuple[str, str], ...]
    framings: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class BenchmarkOptions:
    """What a run may be told.

    Args:
        data: the benchmark's file or folder, if it reads one.
        limit: score about this many items; which ones depends on the items only.
        seed: the arm's seed, for benchmarks that sample or whose items depend on it.
        world_seed: which embedded world, for the benchmarks of one.
        held_out: score only the half of the data that `split_by_prompt_hash` holds out with this
            share; None scores everything.
        max_characters: leave out items whose text is longer, as training on such data does.
        judge: what turns responses into verdicts, for benchmarks that need one; None takes the
            benchmark's default.
        judges: further judges, for benchmarks that ask several questions; no two of one question.
        framings: what to put round a request, for benchmarks that frame; None is their default.
        behaviours: which sets of harmful behaviours to ask for; None is every set found.
        max_new_tokens: longest response; None is the benchmark's default.
    """

    data: Path | None = None
    limit: int | None = None
    seed: int = 0
    world_seed: int | None = None
    held_out: float | None = None
    max_characters: int | None = None
    judge: "Judge | None" = None
    judges: "tuple[Judge, ...]" = ()
    framings: tuple[str, ...] | None = None
    behaviours: tuple[str, ...] | None = None
    max_new_tokens: int | None = None


Prompts = Callable[[BenchmarkOptions], list[str]]
Run = Callable[[LanguageModel, BenchmarkOptions, Progress], list[ItemResult]]
Gaps = Callable[[Sequence[ItemResult]], "list[Gap]"]


@dataclass(frozen=True)
class Benchmark:
    """A registered benchmark; `version` changes whenever a score could.

    `prompts` gives the texts a model is tested on, which training documents must not contain.
    `source` and `licence` say where the data come from; `questions` are those of the judges it
    takes; `by` names the item fields its result is broken down by; `gaps` compares groups; `axes`
    are those of the 2 x 2 that a report leads with.
    """

    name: str
    version: str
    definition: str
    needs: str
    metrics: tuple[Metric, ...]
    run: Run
    prompts: Prompts
    source: str = ""
    licence: str = ""
    questions: tuple[str, ...] = ()
    by: tuple[str, ...] = ()
    gaps: Gaps | None = None
    axes: Axes | None = None


BENCHMARKS: Registry[Benchmark] = Registry(
    "benchmarks",
    modules=(
        "whyfirst.evaluate.benchmarks.bold",
        "whyfirst.evaluate.benchmarks.hh_responses",
        "whyfirst.evaluate.benchmarks.hhh",
        "whyfirst.evaluate.benchmarks.jailbreak",
        "whyfirst.evaluate.benchmarks.multilingual",
        "whyfirst.evaluate.benchmarks.preference",
        "whyfirst.evaluate.benchmarks.truthfulqa",
        "whyfirst.evaluate.benchmarks.truthfulqa_generation",
        "whyfirst.evaluate.benchmarks.xstest",
        "whyfirst.worlds.hearth.benchmark",
        "whyfirst.worlds.village.benchmark",
    ),
)


def benchmark(
    name: str,
    *,
    version: str,
    definition: str,
    needs: str,
    prompts: Prompts,
    metrics: Sequence[Metric] = (),
    source: str = "",
    licence: str = "",
    questions: Sequence[str] = (),
    by: Sequence[str] = (),
    gaps: Gaps | None = None,
    axes: Axes | None = None,
) -> Callable[[Run], Benchmark]:
    """Decorator: register a run function; see `Benchmark` for the other arguments.

    Args:
        needs: what `options.data` must be, or "nothing".
        prompts: the texts the model is tested on.
        metrics: None given means one, of the benchmark's own name and definition.
    """

    def register(run: Run) -> Benchmark:
        given = tuple(metrics) or (Metric(name, name.replace("_", " ").capitalize(), definition),)
        return BENCHMARKS.register(name)(
            Benchmark(
                name, version, definition, needs, given, run, prompts,
                source, licence, tuple(questions), tuple(by), gaps, axes,
            )
        )  # fmt: skip

    return register


def needed_data(name: str, options: BenchmarkOptions) -> Path:
    """`options.data`.

    Raises:
        UserError: it is not set; says what the benchmark needs.
    """
    if options.data is None:
        raise UserError(f"benchmark {name!r} needs data: {BENCHMARKS.get(name).needs}")
    return options.data


def limited(items: Sequence[I], limit: int | None, id_of: Callable[[I], str]) -> list[I]:
    """At most `limit` items, those with the lowest hash of their id, in the given order.

    By hash, so that a file sorted by topic isn't cut to its first topics, and independent of any
    seed, so that every arm answers the same items.
    """
    if limit is None or limit >= len(items):
        return list(items)
    ranked = sorted(items, key=lambda item: hashlib.sha256(id_of(item).encode()).digest())
    chosen = {id_of(item) for item in ranked[:limit]}
    return [item for item in items if id_of(item) in chosen]


def chosen(given: Sequence[str] | None, known: Sequence[str], what: str) -> tuple[str, ...]:
    """`given` if every name in it is known, and all of `known` for None.

    Raises:
        UserError: a name is unknown; gives the nearest one.
    """
    if given is None:
        return tuple(known)
    for name in given:
        if name not in known:
            raise UserError(
                f"no {what} {name!r}{did_you_mean(name, known)} (known: {', '.join(known)})"
            )
    return tuple(dict.fromkeys(given))


def side_by_side(metrics: Sequence[Metric]) -> list[Metric]:
    """The metrics in their order, each followed by those it is to be shown beside."""
    by_name = {metric.name: metric for metric in metrics}
    ordered: dict[str, Metric] = {}
    for metric in metrics:
        for name in (metric.name, *metric.beside):
            if name in by_name:
                ordered.setdefault(name, by_name[name])
    return list(ordered.values())


def unaccompanied(metrics: Sequence[Metric]) -> dict[str, tuple[str, ...]]:
    """Metric -> the metrics it misleads without and that are not among them."""
    names = {metric.name for metric in metrics}
    missing = {m.name: tuple(n for n in m.beside if n not in names) for m in metrics}
    return {name: lacking for name, lacking in missing.items() if lacking}
