"""`whyfirst eval`: benchmarks on one model, a table with intervals and the unscored.

Leaves out: comparing models (that is a study), and texts of items on the terminal (`--out` has
them).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from whyfirst.cli.output import nothing_printed, print_json, say, table, warn
from whyfirst.errors import UserError
from whyfirst.evaluate.benchmark import (
    BENCHMARKS,
    Benchmark,
    BenchmarkOptions,
    ItemResult,
    Metric,
)

if TYPE_CHECKING:
    from whyfirst.models.local import LocalModel

_REASONS = 3  # shown of one metric


@dataclass(frozen=True)
class MetricRow:
    """One metric's result: fractions, a 95 % interval, and bounds over the unscored items.

    `low` and `high` are Wilson's limits for a proportion of passes; for a mean score they are
    those of its mean over topics. All are None where nothing could be scored.
    """

    benchmark: str
    version: str
    metric: str
    title: str
    definition: str
    unit: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    unscored: int
    unscored_rate: float
    worst: float
    best: float
    reasons: dict[str, int]


@dataclass(frozen=True)
class Request:
    """What `whyfirst eval` was asked; see the command's help."""

    model: str
    revision: str | None
    trust_remote_code: bool
    benchmarks: tuple[str, ...]
    data: tuple[str, ...]
    limit: int | None
    world: int | None
    seed: int
    out: Path | None


def evaluate(request: Request, *, as_json: bool) -> None:
    """Run the benchmarks and print what they gave.

    Raises:
        UserError: an unknown benchmark, missing data, or a model that can't be loaded; the names
            and paths are checked before the model is.
    """
    chosen = [BENCHMARKS.get(name) for name in request.benchmarks]
    options = [_options(benchmark, request) for benchmark in chosen]
    with nothing_printed(as_json):
        fingerprint, results = _score(request, chosen, options)
    rows = [
        summarise(benchmark, metric, [r for r in found if r.benchmark == metric.name])
        for benchmark, found in zip(chosen, results, strict=True)
        for metric in benchmark.metrics
    ]
    if request.out is not None:
        _write(request.out, [item for found in results for item in found])
    if as_json:
        print_json({
            "model": request.model, "revision": request.revision, "fingerprint": fingerprint,
            "metrics": [asdict(row) for row in rows],
            "items": str(request.out) if request.out else None,
        })  # fmt: skip
    else:
        _print(request, rows)


def _options(benchmark: Benchmark, request: Request) -> BenchmarkOptions:
    data = _data_of(benchmark.name, request.benchmarks, request.data)
    if data is None and not benchmark.needs.startswith("nothing"):
        raise UserError(f"benchmark {benchmark.name!r} needs --data: {benchmark.needs}")
    if data is not None and not data.exists():
        raise UserError(f"--data: no such file or folder: {data}")
    return BenchmarkOptions(
        data=data, limit=request.limit, seed=request.seed, world_seed=request.world
    )


def _data_of(name: str, names: Sequence[str], given: Sequence[str]) -> Path | None:
    """The data of one benchmark: its own `NAME=PATH`, else the plain `PATH`."""
    plain: Path | None = None
    for text in given:
        owner, equals, path = text.partition("=")
        if equals and owner == name:
            return Path(path)
        if not (equals and owner in names):
            plain = Path(text)
    return plain


def _score(
    request: Request, chosen: Sequence[Benchmark], options: Sequence[BenchmarkOptions]
) -> tuple[str, list[list[ItemResult]]]:
    from whyfirst.cli.progress import steps
    from whyfirst.models.local import LocalModel

    model = LocalModel(
        request.model,
        revision=request.revision,
        trust_remote_code=request.trust_remote_code,
    )
    results = []
    for benchmark, option in zip(chosen, options, strict=True):
        _warn_of_unknown_words(model, benchmark, option)
        with steps(benchmark.name) as progress:
            results.append(benchmark.run(model, option, progress))
    return model.fingerprint, results


def _warn_of_unknown_words(
    model: "LocalModel", benchmark: Benchmark, options: BenchmarkOptions
) -> None:
    """A tokenizer that can't spell a benchmark's prompts gives scores that mean nothing."""
    unknown = model.tokenizer.unk_token_id
    if unknown is None:
        return
    prompts = benchmark.prompts(options)[:500]
    encoded = model.tokenizer(prompts, add_special_tokens=False)["input_ids"]
    tokens = [token for ids in encoded for token in ids]
    share = sum(token == unknown for token in tokens) / max(1, len(tokens))
    if share > 0.01:
        warn(
            f"{benchmark.name}: {share:.0%} of the prompts' tokens are unknown words to this "
            "model's tokenizer; its scores say little (for Hearth: is it the right --world?)"
        )


def summarise(benchmark: Benchmark, metric: Metric, items: Sequence[ItemResult]) -> MetricRow:
    """One metric's row from its items' results; UserError where the benchmark gave none."""
    from whyfirst.evaluate.statistics import Scores, mean_over_seeds, wilson

    if not items:
        raise UserError(
            f"benchmark {benchmark.name!r}: no items for {metric.name!r}; raise --limit"
        )
    scores = [item.score for item in items if item.score is not None]
    missing = len(items) - len(scores)
    value = low = high = None
    topics = [item.topic or item.id for item in items]
    if scores and metric.unit == "proportion" and len(set(topics)) == len(items):
        value, low, high = wilson(sum(item.verdict == "pass" for item in items), len(scores))
    elif scores:
        # Items about one topic are no independent draws.
        long = [(0, item.id, topic, item.score) for item, topic in zip(items, topics, strict=True)]
        value, low, high = mean_over_seeds(Scores.from_rows(long))
    return MetricRow(
        benchmark=benchmark.name, version=benchmark.version, metric=metric.name,
        title=metric.title, definition=metric.definition, unit=metric.unit,
        value=value, low=low, high=high, n=len(scores), unscored=missing,
        unscored_rate=missing / len(items),
        worst=sum(scores) / len(items), best=(sum(scores) + missing) / len(items),
        reasons=dict(sorted(Counter(item.reason for item in items if item.reason).items())),
    )  # fmt: skip


def _write(path: Path, items: Sequence[ItemResult]) -> None:
    from whyfirst.study.kinds import write_items

    write_items(path, items)


def _print(request: Request, rows: Sequence[MetricRow]) -> None:
    table(
        [("metric", "left"), ("value", "right"), ("95 % interval", "right"), ("items", "right"),
         ("unscored", "right"), ("if failed / passed", "right")],
        [_cells(row) for row in rows],
    )  # fmt: skip
    for row in rows:
        _print_reasons(row)
    say(
        "intervals: Wilson's for a share of independent items, else Student's over topics",
        style="dim",
    )
    if request.out is not None:
        say(f"items: {request.out}")


def _print_reasons(row: MetricRow) -> None:
    """The commonest reasons; a reason may hold numbers of its item, so there can be many."""
    ranked = sorted(row.reasons.items(), key=lambda item: -item[1])
    for reason, count in ranked[:_REASONS]:
        say(f"{row.metric}: {count} unscored: {reason}", style="dim")
    rest = sum(count for _, count in ranked[_REASONS:])
    if rest:
        say(f"{row.metric}: {rest} unscored for other reasons (--out, --json)", style="dim")


def _cells(row: MetricRow) -> tuple[object, ...]:
    def percent(value: float) -> str:
        return f"{100 * value:.1f} %"

    known = row.value is not None and row.low is not None and row.high is not None
    value = percent(row.value) if row.value is not None else "-"
    interval = f"{percent(row.low or 0.0)} to {percent(row.high or 0.0)}" if known else "-"
    missing = f"{row.unscored} ({percent(row.unscored_rate)})"
    bounds = f"{percent(row.worst)} / {percent(row.best)}" if row.unscored else ""
    return row.title, value, interval, row.n, missing, bounds
