"""Inspect's logs: read into a study's report, and written from our item records.

Scores become fractions as Inspect's own metrics take them (C 1, P 0.5, I and N 0); a NaN is its
mark of an unscored sample; a score of several values is one metric for each. Leaves out: running
Inspect (inspect_tasks), and transcripts: a log of ours has a sample's prompt, response and scores.
"""

import contextlib
import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from whyfirst.config.bounded import check_zip
from whyfirst.config.errors import DataError, StoreError, UserError
from whyfirst.evaluate.benchmark import Benchmark, Metric
from whyfirst.evaluate.item import ItemResult, explained
from whyfirst.study.results.imported import Import

_LETTERS = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}
_WORDS = {"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
_GENERATION = ("temperature", "top_p", "top_k", "max_tokens", "system_message")
_NOT_KEPT = "(not kept: offensive by design; the id and the data give it back)"


def _inspect(what: str) -> Any:
    """The package's part.

    Raises:
        UserError: it is not installed.
    """
    from importlib import import_module

    try:
        return import_module(f"inspect_ai.{what}")
    except ImportError as error:
        raise UserError(
            f"Inspect's logs need Inspect, which is not installed ({error}); pip install "
            "'whyfirst[inspect]'"
        ) from error


def installed() -> None:
    """Raise UserError where Inspect is not installed."""
    _inspect("log")


def read_log(path: Path) -> tuple[list[Import], dict[str, str]]:
    """Every metric of a finished log that lies in [0, 1]; the others with why they are left out.

    Raises:
        DataError: the file is no log, its run did not finish, it kept no samples, or nothing in it
            can be taken.
        UserError: Inspect is not installed.
    """
    reader = _inspect("log")
    if path.suffix == ".eval":
        # Inspect unpacks whatever it is given.
        check_zip(path)
    try:
        log = reader.read_eval_log(str(path))
    except Exception as error:
        # Zip, JSON and pydantic have an error of their own each.
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path}: not a readable Inspect log: {reason}") from error
    # Half a run's mean is of the items that happened to be asked first.
    if log.status != "success":
        raise DataError(
            f"{path}: the run's status is {log.status!r}; finish it with `inspect eval-retry`"
        )
    if not log.samples:
        raise DataError(f"{path}: the log kept no samples; run it without --no-log-samples")
    metrics, left = metric_rows(log.samples)
    if not metrics:
        reasons = "; ".join(f"{name}: {why}" for name, why in left.items()) or "nothing was scored"
        raise DataError(f"{path}: nothing to import: {reasons}")
    # Our own logs say which way is better; others say it nowhere.
    ways = {
        score.name: bool((score.metadata or {}).get("higher_is_better", True))
        for score in (log.results.scores if log.results else ())
    }
    return [
        import_of(log.eval, log.plan, name, rows, ways.get(name, True))
        for name, rows in metrics.items()
    ], left


Row = tuple[str, str, float | None, str | None]


def metric_rows(samples: Sequence[Any]) -> tuple[dict[str, list[Row]], dict[str, str]]:
    """Metric -> its rows over all samples, and the metrics left out with their reasons."""
    names: dict[str, None] = {}
    for sample in samples:
        for scorer, score in (sample.scores or {}).items():
            parts = score.value if isinstance(score.value, Mapping) else ()
            names |= dict.fromkeys([f"{scorer}/{key}" for key in parts] or [scorer])
    # A sample that failed has a NaN of the scorer as a whole, where others have several values.
    split = {name.rpartition("/")[0] for name in names if "/" in name}
    many = len({sample.epoch for sample in samples}) > 1
    metrics: dict[str, list[Row]] = {}
    left: dict[str, str] = {}
    for name in (name for name in names if name not in split):
        rows = [row for sample in samples if (row := sample_row(sample, name, many)) is not None]
        odd = next((s for _, _, s, _ in rows if s is not None and not 0 <= s <= 1), None)
        if odd is not None:
            left[name] = f"{odd:g} is no fraction in [0, 1]"
        elif all(score is None for _, _, score, _ in rows):
            left[name] = f"no sample is scored ({rows[0][3] if rows else 'no sample'})"
        else:
            metrics[name] = rows
    return metrics, left


def sample_row(sample: Any, name: str, many: bool) -> Row | None:
    """One sample under one metric; None where its scorer passed it over."""
    item = f"{sample.id}/epoch {sample.epoch}" if many else str(sample.id)
    # Intervals go over topics; without one every sample is its own.
    topic = str((sample.metadata or {}).get("topic") or sample.id)
    # A crash is no wrong answer.
    if sample.error is not None:
        lines = str(sample.error.message).strip().splitlines() or ["unknown"]
        return item, topic, None, f"error: {lines[0][:120]}"
    scores = sample.scores or {}
    score = scores.get(name) or scores.get(name.rpartition("/")[0])
    if score is None:
        return None
    value = score.value
    if isinstance(value, Mapping):
        value = value.get(name.rpartition("/")[2])
    number: float | None = None
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            said = _LETTERS.get(value, _WORDS.get(value.lower()))
            number = float(value) if said is None else said
    elif isinstance(value, bool | int | float):
        number = float(value)
    if number is None or math.isnan(number):
        why = (score.explanation or "").strip().partition("\n")[0][:120] or score.reason
        fallback = "not scored" if number is not None else f"no number: {str(value)[:40]!r}"
        return item, topic, None, str(why or fallback)
    return item, topic, number, None


def import_of(spec: Any, plan: Any, name: str, rows: list[Row], higher: bool) -> Import:
    """One metric of a log, with the settings that must agree for a comparison."""
    task = spec.task
    shares = all(score in (None, 0.0, 1.0) for _, _, score, _ in rows)
    config = plan.config.model_dump(exclude_none=True)
    settings = {
        "arguments": spec.task_args, "dataset": spec.dataset.name, "epochs": spec.config.epochs,
        # Other samples, or otherwise put together, are no pairs.
        "limit": spec.config.limit, "samples": spec.config.sample_id,
        "reducer": spec.config.epochs_reducer,
        "generation": {key: config[key] for key in _GENERATION if key in config},
    }  # fmt: skip
    version = spec.packages.get("inspect_ai", "of an unknown version")
    return Import(
        name=f"inspect:{task}/{name}", title=f"{task}, {name} (Inspect)",
        definition=f"The mean over {len(rows)} samples of {name!r} in Inspect's task {task!r}.",
        version=str(spec.task_version), unit="proportion" if shares else "score",
        higher_is_better=higher, settings=json.dumps(settings, sort_keys=True, default=str),
        source=f"Inspect {version}, run on {str(spec.created)[:10]}.",
        items=rows,
    )  # fmt: skip


def write_log(
    path: Path, benchmark: Benchmark, items: Sequence[ItemResult], model: str,
    about: Mapping[str, Any] | None = None,
) -> Path:  # fmt: skip
    """Write one benchmark's items as a log: a sample an item, a scorer a metric.

    Args:
        path: ends in .eval or .json.
        about: further facts, kept as the log's metadata.

    Raises:
        UserError: Inspect is not installed.
    """
    from whyfirst import __version__

    log = _inspect("log")
    # Inspect keeps a sample with all its scores, we a record a score.
    by_item: dict[str, list[ItemResult]] = {}
    for item in items:
        by_item.setdefault(item.id, []).append(item)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    used = {item.benchmark for item in items}
    spec = log.EvalSpec(
        created=now, task=f"whyfirst/{benchmark.name}", task_version=benchmark.version,
        dataset=log.EvalDataset(
            name=benchmark.name, samples=len(by_item), sample_ids=list(by_item)
        ),
        model=model, config=log.EvalConfig(epochs=1), packages={"whyfirst": __version__},
        metadata=dict(about or {}),
    )  # fmt: skip
    done = log.EvalLog(
        status="success", eval=spec,
        results=log.EvalResults(
            total_samples=len(by_item), completed_samples=len(by_item),
            scores=[metric_result(log, m, items) for m in benchmark.metrics if m.name in used],
        ),
        stats=log.EvalStats(started_at=now, completed_at=now),
        samples=[sample_of(log, model, name, records) for name, records in by_item.items()],
    )  # fmt: skip
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{path}: can't be written: {error.strerror}") from error
    # Inspect goes by the ending, so the part keeps it.
    part = path.with_name(f".part-{path.name}")
    try:
        log.write_eval_log(done, str(part))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def metric_result(log: Any, metric: Metric, items: Sequence[ItemResult]) -> Any:
    """A metric's value and interval, as `whyfirst eval` gives them."""
    from whyfirst.evaluate.score import score

    result = score(metric, [item for item in items if item.benchmark == metric.name])
    numbers = {"mean": result.value, "low": result.low, "high": result.high}
    return log.EvalScore(
        name=metric.name, scorer=metric.name, scored_samples=result.n,
        unscored_samples=result.unscored,
        metrics={k: log.EvalMetric(name=k, value=v) for k, v in numbers.items() if v is not None},
        metadata={"definition": metric.definition, "higher_is_better": metric.higher_is_better},
    )  # fmt: skip


def sample_of(log: Any, model: str, name: str, records: Sequence[ItemResult]) -> Any:
    """An item's records under every metric as one of Inspect's samples."""
    output = _inspect("model").ModelOutput

    def first(field: str) -> Any:
        # Metrics share an item's texts, but not every metric's record keeps them.
        return next((v for record in records if (v := getattr(record, field)) is not None), None)

    labels = ("split", "framing", "topic", "value", "group", "offensive")
    about = {label: getattr(records[0], label) for label in labels}
    response = first("response")
    unkept = _NOT_KEPT if records[0].offensive else "(not kept)"
    return log.EvalSample(
        id=name, epoch=1, input=first("prompt") or unkept, target=first("target") or "",
        output=output() if response is None else output.from_content(model, response),
        scores={record.benchmark: to_score(record) for record in records},
        metadata={label: value for label, value in about.items() if value is not None},
    )  # fmt: skip


def to_score(item: ItemResult) -> Any:
    """An item's score as Inspect keeps one; unscored is its NaN with our reason."""
    kind = _inspect("scorer").Score
    more = {"answer": item.response, "metadata": {"judge": item.judge} if item.judge else None}
    if item.score is None:
        why = explained(item.reason, item.raw)
        return kind.unscored(reason="scoring_failed", explanation=why, **more)
    return kind(value=item.score, explanation=item.verdict, **more)
