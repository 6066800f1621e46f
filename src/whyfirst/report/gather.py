"""What a report shows beyond arms and contrasts, from item records: groups, gaps, judges.

Breakdowns by the fields that a benchmark declares, differences between groups, each judge's
measured agreement and the rates corrected by it. Leaves out: splits and framings (they are cells
of every benchmark), and comparing arms.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from whyfirst.config.errors import DataError
from whyfirst.config.files import read_jsonl
from whyfirst.evaluate.benchmark import Benchmark, Metric, all_benchmarks, benchmark_named
from whyfirst.evaluate.correction import AgreementCard, rogan_gladen, shipped_card
from whyfirst.evaluate.gaps import Gap
from whyfirst.evaluate.gaps_over_seeds import over_seeds
from whyfirst.evaluate.item import ItemResult
from whyfirst.report import schema
from whyfirst.report.items import File
from whyfirst.report.parts import (
    BOTH_WAYS,
    Cell,
    CorrectedRow,
    GapRow,
    GroupTable,
    Interval,
    JudgeRow,
)
from whyfirst.report.schema import Results
from whyfirst.stats.scores import Columns, Scores
from whyfirst.stats.statistics import Z

_MOST_GROUPS = 60  # more make no table that anybody reads

Summarise = Callable[[Scores], Cell]
CellOf = Callable[[Sequence[tuple[int, ItemResult]]], Cell]
#: fields that are keys of every benchmark's cells already
IN_CELLS = ("split", "framing")


@dataclass
class Gathered:
    """Fields of `Results` of the same names."""

    groups: list[GroupTable] = field(default_factory=list)
    gaps: list[GapRow] = field(default_factory=list)
    judges: dict[str, JudgeRow] = field(default_factory=dict)
    corrected: list[CorrectedRow] = field(default_factory=list)


def gather(
    files: Iterable[File], names: Sequence[str], summarise: Summarise, worlds: bool = False
) -> Gathered:
    """Everything of a run that is read off its items and isn't a contrast.

    Args:
        files: (arm, seed, items.jsonl) of the final models' evaluations.
        names: the study's benchmarks, in its order.
        summarise: scores -> cell, as for the other cells of the study.
        worlds: whether each seed is a world of its own.
    """
    # (metric, arm): one file holds the items of all of a benchmark's metrics.
    rows: dict[tuple[str, str], list[tuple[int, ItemResult]]] = {}
    for arm, seed, path in files:
        for row in read_jsonl(path):
            item = ItemResult.from_json(row)
            rows.setdefault((item.benchmark, arm), []).append((seed, item))
    result, cell_of = Gathered(), partial(_cell, summarise, worlds)
    for benchmark in (benchmark_named(name) for name in names):
        for metric in benchmark.metrics:
            arms = {arm: items for (name, arm), items in rows.items() if name == metric.name}
            if not arms:
                continue
            result.groups += group_tables(metric.name, benchmark.by, arms, cell_of)
            if benchmark.gaps is not None:
                result.gaps += gap_rows(benchmark.gaps, arms)
            if metric.unit == "proportion":
                add_judges(result, metric, arms, cell_of)
    return result


def declared(benchmark: Benchmark, metric: Metric) -> dict[str, Any]:
    """What a metric and its benchmark declare that a report must know, as fields of its row."""
    axes = benchmark.axes
    return {
        "beside": list(metric.beside), "by": list(benchmark.by), "source": benchmark.source,
        "licence": benchmark.licence, "happened": metric.happened, "good": metric.good,
        "chance": metric.chance, "acts": metric.acts, "readings": metric.readings,
        "much": metric.much,
        "axes": axes and {"splits": dict(axes.splits), "framings": dict(axes.framings)},
    }  # fmt: skip


def completed(results: Results) -> Results:
    """Results as they are, with what today's benchmarks of the same version declare where an older
    file says nothing of it: what happened, which is good, what to read it beside."""
    known = {
        metric.name: (benchmark, metric)
        for benchmark in all_benchmarks()
        for metric in benchmark.metrics
    }
    rows = {}
    for name, row in results.benchmarks.items():
        benchmark, metric = known.get(name, (None, None))
        if benchmark and metric and benchmark.version == row.version:
            said = row.model_fields_set - {"good"}  # "good" of an older file is worked out
            new = {k: v for k, v in declared(benchmark, metric).items() if k not in said}
            row = schema.Benchmark.model_validate(row.model_dump() | new)
        rows[name] = row
    return results.model_copy(update={"benchmarks": rows})


Rows = Mapping[str, list[tuple[int, ItemResult]]]


def _cell(summarise: Summarise, worlds: bool, rows: Iterable[tuple[int, ItemResult]]) -> Cell:
    """Their cell, as it would stand among the arm's others: with its strata, and worlds as such."""
    columns = Columns(worlds=worlds)
    for seed, item in rows:
        columns.add(seed, vars(item))
    return summarise(columns.whole)


def group_tables(
    metric: str, fields: Sequence[str], arms: Rows, cell_of: CellOf
) -> list[GroupTable]:
    """A metric by each of the fields that tell its items apart."""
    tables = []
    for name in [name for name in fields if name not in IN_CELLS]:
        groups = {getattr(item, name) for rows in arms.values() for _, item in rows} - {None}
        # A single group is the whole again.
        if not 1 < len(groups) <= _MOST_GROUPS:
            continue
        cells: dict[str, dict[str, Cell]] = {arm: {} for arm in arms}
        for arm, rows in arms.items():
            for group in sorted(groups):
                own = [row for row in rows if getattr(row[1], name) == group]
                if own:
                    cells[arm][group] = cell_of(own)
        tables.append(GroupTable(benchmark=metric, by=name, arms=cells))
    return tables


def gap_rows(gaps_of: Callable[[Sequence[ItemResult]], Sequence[Gap]], arms: Rows) -> list[GapRow]:
    """A benchmark's own comparison of groups, at each arm's lowest seed, and over all of them.

    Never of the seeds' items pooled, which would count every item several times.
    """
    found = []
    for arm, rows in arms.items():
        by_seed: dict[int, list[ItemResult]] = {}
        for seed, item in rows:
            by_seed.setdefault(seed, []).append(item)
        seeds = sorted(by_seed)
        of_seeds = [gaps_of(by_seed[seed]) for seed in seeds]
        if len(seeds) > 1:
            at_first = f"of seed {seeds[0]} alone"
            of_seeds[0] = [
                replace(gap, note=", ".join(filter(None, [gap.note, at_first])))
                for gap in of_seeds[0]
            ]
        found += [
            GapRow(
                arm=arm, benchmark=gap.metric, split=gap.split, first=gap.between[0],
                second=gap.between[1], value=gap.value, low=gap.low, high=gap.high,
                groups=gap.groups, seed=seed, note=gap.note,
            )
            for seed, gaps in ((seeds[0], of_seeds[0]), (None, over_seeds(of_seeds)))
            for gap in gaps
        ]  # fmt: skip
    return found


def add_judges(result: Gathered, metric: Metric, arms: Rows, cell_of: CellOf) -> None:
    """Add the metric's judge, and each arm's rate corrected by its card."""
    for arm, rows in arms.items():
        judges = {item.judge for _, item in rows if item.judge}
        for judge in sorted(judges - set(result.judges)):
            result.judges[judge] = judge_row(_card(judge))
        if len(judges) != 1:
            continue  # no judge, or several with errors of their own: nothing to correct by
        judge = next(iter(judges))
        card = _card(judge)
        cell = cell_of(rows)
        if card is None or cell.value is None:
            continue
        problem = BOTH_WAYS
        if metric.opposite is not None:
            problem = card.unlike([i.response for _, i in rows if i.response is not None])
        result.corrected.append(
            corrected_row(arm, metric.name, judge, cell, card, bool(metric.opposite), problem)
        )


def _card(judge: str) -> AgreementCard | None:
    name, _, version = judge.rpartition("/")
    # A shipped card is found by the judge's name and version, all that an item record keeps of it.
    return shipped_card(name, version)


def judge_row(card: AgreementCard | None) -> JudgeRow:
    """A judge's card as the report shows it; of a judge without one, nothing is known."""
    if card is None:
        return JudgeRow(
            question="", data="", n=0, unscored=0, kappa=None, sensitivity=None, specificity=None
        )
    found = card.agreement
    intervals = {
        name: None if limits is None else Interval(**limits._asdict())
        for name in ("kappa", "sensitivity", "specificity")
        for limits in (getattr(found, name),)
    }
    return JudgeRow(
        question=card.question, data=card.data, n=found.confusion.n, unscored=found.unscored,
        **intervals,
    )  # fmt: skip


def corrected_row(
    arm: str, metric: str, judge: str, cell: Cell, card: AgreementCard, opposite: bool = False,
    problem: str = "",
) -> CorrectedRow:  # fmt: skip
    """The cell's rate corrected by the judge's card, over its effective number of items.

    Args:
        opposite: the metric's items pass where the judge says no.
        problem: why the card says nothing of this rate, which then stays as it is.

    Raises:
        ValueError: the cell has no value.
    """
    if cell.value is None:
        raise ValueError(f"{arm}: {metric} has no rate to correct")
    # The card is of the judge's own question, so the rate is turned to that and back.
    rate = 1.0 - cell.value if opposite else cell.value
    corrected = None
    try:
        found = None if problem else rogan_gladen(rate, effective_n(cell), card)
    except DataError as error:
        found, problem = None, str(error)
    if found is not None:
        value, low, high = found.value, found.low, found.high
        if opposite:
            value, low, high = 1.0 - value, 1.0 - high, 1.0 - low
        corrected = Interval(value=value, low=low, high=high)
    return CorrectedRow(
        arm=arm, benchmark=metric, judge=judge, raw=cell.value, corrected=corrected, problem=problem
    )


def effective_n(cell: Cell) -> float:
    """How many independent items a cell's interval is worth: the n of Wilson's of its width.

    Wilson's interval for a share p of n items is 2z√(p(1−p)/n + z²/4n²)/(1 + z²/n) wide; solved for
    n. Items share topics and seeds, so that this is fewer than were scored; it is at least 1.
    """
    if cell.value is None or cell.low is None or cell.high is None:
        return 1.0
    p, width = cell.value, max(cell.high - cell.low, 1e-9)
    # With x = z²/n: width² (1 + x)² = 4 p(1−p) x + x², a quadratic in x.
    square, spread = width**2, 4.0 * p * (1.0 - p)
    a, b, c = square - 1.0, 2.0 * square - spread, square
    # An interval one wide is worth a single item.
    if abs(a) < 1e-12:
        return 1.0
    root = (-b - (b * b - 4.0 * a * c) ** 0.5) / (2.0 * a)
    return min(float(max(1, cell.answers)), max(1.0, Z**2 / root)) if root > 0 else 1.0
