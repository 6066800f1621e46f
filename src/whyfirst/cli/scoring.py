"""The rows of `whyfirst eval`: one for each metric, and one for each group below it.

Leaves out: running benchmarks (evaluation.py).
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from whyfirst.cli.output import say, table, warn
from whyfirst.config.errors import UserError
from whyfirst.evaluate.benchmark import (
    Benchmark,
    Metric,
    benchmark_named,
    side_by_side,
    unaccompanied,
)
from whyfirst.evaluate.gaps import Gap
from whyfirst.evaluate.item import ItemResult
from whyfirst.evaluate.score import Score, score

#: What items can be broken down by.
FIELDS = ("framing", "group", "split", "topic", "value")
_REASONS = 3  # shown of one metric
_GROUPS = 12  # shown of one metric where nobody asked for them
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


@dataclass(frozen=True)
class MetricRow:
    """One metric's result; `groups` has its parts, by field and name.

    `reasons` counts why items are unscored, with the numbers of single items left out.
    """

    benchmark: str
    version: str
    metric: str
    title: str
    definition: str
    unit: str
    higher_is_better: bool
    score: Score
    reasons: dict[str, int]
    judges: tuple[str, ...]
    groups: dict[str, dict[str, Score]] = field(default_factory=dict)


def summarise(
    benchmark: Benchmark, metric: Metric, items: Sequence[ItemResult], by: Sequence[str] = ()
) -> MetricRow:
    """One metric's row from its items' results, of which there is at least one."""
    reasons = Counter(item.reason for item in items if item.reason)
    # Those that differ in their numbers only are one, with N.
    alike: dict[str, list[str]] = {}
    for reason in reasons:
        alike.setdefault(_NUMBER.sub("N", reason), []).append(reason)
    kinds = {
        masked if len(spelt) > 1 else spelt[0]: sum(reasons[reason] for reason in spelt)
        for masked, spelt in alike.items()
    }
    groups: dict[str, dict[str, Score]] = {}
    for name in by:
        # Items without the field are in no group; they are in the metric's own row.
        labels = {str(label) for item in items if (label := getattr(item, name)) is not None}
        groups[name] = {
            label: score(metric, [item for item in items if str(getattr(item, name)) == label])
            for label in sorted(labels)
        }
    return MetricRow(
        benchmark=benchmark.name, version=benchmark.version, metric=metric.name,
        title=metric.title, definition=metric.definition, unit=metric.unit,
        higher_is_better=metric.higher_is_better, score=score(metric, items),
        reasons=dict(sorted(kinds.items())),
        judges=tuple(sorted({item.judge for item in items if item.judge})),
        groups=groups,
    )  # fmt: skip


def in_order(
    chosen: Sequence[Benchmark], results: Sequence[Sequence[ItemResult]]
) -> list[tuple[Benchmark, Metric, list[ItemResult]]]:
    """Every metric that has items, with them and its benchmark, each followed by those it is to be
    shown beside; a metric without items is told.

    Raises:
        UserError: a whole benchmark gave no items.
    """
    by_metric: dict[str, list[ItemResult]] = {}
    for item in (item for items in results for item in items):
        by_metric.setdefault(item.benchmark, []).append(item)
    for one in chosen:
        if not any(metric.name in by_metric for metric in one.metrics):
            raise UserError(f"benchmark {one.name!r}: no items; raise --limit, or look at its data")
    owner = {metric.name: one for one in chosen for metric in one.metrics}
    ordered = side_by_side([metric for one in chosen for metric in one.metrics])
    if empty := [metric.name for metric in ordered if metric.name not in by_metric]:
        warn(f"without items: {', '.join(empty)}")
    return [
        (owner[metric.name], metric, by_metric[metric.name])
        for metric in ordered
        if metric.name in by_metric
    ]


def show(rows: Sequence[MetricRow], gaps: Sequence[Gap], *, every_group: bool) -> None:
    """Print the table, the groups under each metric, and differences between groups.

    Args:
        every_group: groups were asked for; else long lists of them are left out.
    """
    lines = []
    left_out = []
    for row in rows:
        # In the title, since nobody reads a column of arrows.
        title = row.title + ("" if row.higher_is_better else " (lower is better)")
        lines.append(_cells(title, row.score, row.unit))
        for name, parts in row.groups.items():
            # One group says nothing, and fifty push the metrics off the screen.
            if not every_group and not 2 <= len(parts) <= _GROUPS:
                left_out += [f"{row.metric} by {name}"] if len(parts) > _GROUPS else []
                continue
            lines += [_cells(f"  {name} {label}", part, row.unit) for label, part in parts.items()]
    table(("metric", "value", "95 % interval", "items", "unscored", "if failed / passed"),
          lines, "lr")  # fmt: skip
    for row in rows:
        # The commonest kinds of reasons.
        ranked = sorted(row.reasons.items(), key=lambda item: -item[1])
        for reason, count in ranked[:_REASONS]:
            say(f"{row.metric}: {count} unscored: {reason}", style="dim")
        rest = sum(count for _, count in ranked[_REASONS:])
        if rest:
            say(f"{row.metric}: {rest} unscored for other reasons (--out, --json)", style="dim")
    shown = {row.metric for row in rows}
    # Of all that was asked: what one benchmark's metric misleads without may be another's.
    metrics = {m.name: m for row in rows for m in benchmark_named(row.benchmark).metrics}
    for metric, lacking in unaccompanied([metrics[row.metric] for row in rows]).items():
        if metric in shown:
            warn(f"{metric} says little without {', '.join(lacking)}, which was not measured")
    if left_out:
        say(f"left out for their length: {', '.join(left_out)} (--by shows them)", style="dim")
    say(
        "intervals: Wilson's for a share of independent items, else Student's over topics",
        style="dim",
    )

    if not gaps:
        return
    say("")
    table(("gap", "part", "between", "difference", "95 % interval", "note"), [
        (gap.metric, gap.split or "", f"{gap.between[0]} - {gap.between[1]}",
         *_difference(gap, metrics[gap.metric].unit), gap.note)
        for gap in gaps
    ], "lllrrl")  # fmt: skip


def _difference(gap: Gap, unit: str) -> tuple[str, str]:
    """A gap and its interval: of shares in points, of scores as they are."""
    if unit == "score":
        return f"{gap.value:+.3f}", f"{gap.low:+.3f} to {gap.high:+.3f}"
    interval = f"{100 * gap.low:+.1f} to {100 * gap.high:+.1f}"
    return f"{100 * gap.value:+.1f} points", interval


def _cells(title: str, found: Score, unit: str) -> tuple[object, ...]:
    def percent(value: float) -> str:
        return f"{100 * value:.1f} %"

    def amount(value: float) -> str:
        return f"{value:.3f}" if unit == "score" else percent(value)

    known = found.value is not None and found.low is not None and found.high is not None
    # A dash and not 0 %: nothing was scored.
    value = amount(found.value) if found.value is not None else "-"
    interval = f"{amount(found.low or 0.0)} to {amount(found.high or 0.0)}" if known else "-"
    missing = f"{found.unscored} ({percent(found.unscored_rate)})"
    bounds = f"{amount(found.worst)} / {amount(found.best)}" if found.unscored else ""
    return title, value, interval, found.n, missing, bounds
