"""Breakdowns arranged for the page: benchmarks by group, framing or language, gaps, judges.

Leaves out: computing them (`gather.py`) and the headline benchmark's own framings, which have
figures (`views.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from whyfirst.report import words
from whyfirst.report.parts import Cell, GapRow
from whyfirst.report.schema import Benchmark, Results
from whyfirst.report.views import headline_place

_MOST_COLUMNS = 6


@dataclass(frozen=True)
class Number:
    """A number with its interval in words, and both with counts for the pointer."""

    value: str
    interval: str
    title: str


@dataclass(frozen=True)
class GapLine:
    """A difference between two groups, in words."""

    arm: str
    between: str
    split: str
    value: str
    interval: str
    detectable: bool
    note: str


@dataclass(frozen=True)
class Breakdown:
    """One benchmark by one field, and the gaps between groups.

    A row is an arm and a column a group; with more groups than a page is wide it is `turned`, a row
    a group and a column an arm.
    """

    title: str
    field: str
    better: str
    turned: bool
    columns: list[str]
    rows: list[tuple[str, list[Number | None]]]
    gaps: list[GapLine]


@dataclass(frozen=True)
class CorrectedLine:
    """A raw rate and, beside it, the same corrected for its judge's error."""

    benchmark: str
    arm: str
    judge: str
    raw: str
    raw_interval: str
    corrected: str
    corrected_interval: str
    problem: str


def breakdowns(results: Results) -> list[Breakdown]:
    """Every benchmark by every field it declares, as far as there are numbers."""
    place = headline_place(results)
    found = []
    for name, benchmark in results.benchmarks.items():
        tables = {table.by: table.arms for table in results.groups if table.benchmark == name}
        for field in ("framing", "split"):
            # The headline's benchmark has figures for these.
            if field in benchmark.by and not (place and place[0] == name):
                tables[field] = _from_cells(results, name, field)
        gaps = [row for row in results.gaps if row.benchmark == name]
        for field, arms in tables.items():
            # A benchmark compares its groups; where it has none, nothing else has gaps.
            one = _breakdown(benchmark, field, arms, gaps if field == "group" else [])
            if len({group for cells in arms.values() for group in cells}) > 1:
                found.append(one)
    return found


def _from_cells(results: Results, benchmark: str, field: str) -> dict[str, dict[str, Cell]]:
    tables: dict[str, dict[str, Cell]] = {}
    for arm, spec in results.arms.items():
        for key, cell in spec.benchmarks.get(benchmark, {}).items():
            split, _, framing = key.partition("/")
            name, other = (framing, split) if field == "framing" else (split, framing)
            if other == "*" and name != "*" and "+" not in name:
                tables.setdefault(arm, {})[name] = cell
    return tables


def _breakdown(
    benchmark: Benchmark, field: str, arms: Mapping[str, Mapping[str, Cell]], gaps: list[GapRow]
) -> Breakdown:
    groups = list(dict.fromkeys(group for cells in arms.values() for group in cells))
    turned = len(groups) > _MOST_COLUMNS
    outer, inner = (groups, list(arms)) if turned else (list(arms), groups)
    rows = [
        (one, [_number((arms[two] if turned else arms[one]).get(one if turned else two), benchmark)
               for two in inner])
        for one in outer
    ]  # fmt: skip
    better = "higher is better" if benchmark.higher_is_better else "lower is better"
    lines = [_gap(row, benchmark) for row in gaps]
    return Breakdown(benchmark.title, field, better, turned, inner, rows, lines)


def _number(cell: Cell | None, benchmark: Benchmark) -> Number | None:
    if cell is None:
        return None
    title = words.scored(cell, benchmark)
    if cell.unscored:
        title += f"; {cell.unscored} unscored"
    counted = f"n{words.SPACE}{cell.n:,}"
    if benchmark.unit == "proportion" and cell.value is not None and cell.n <= cell.n_seeds:
        # One item, however many seeds: its share of seeds is no rate of a group.
        passed = round(cell.value * cell.n)
        return Number(f"{passed} of {cell.n} {benchmark.happened[0]}", "one item", title)
    limits = words.interval(cell.low, cell.high, benchmark)
    return Number(words.amount(cell.value, benchmark), f"{limits}; {counted}", title)


def _gap(row: GapRow, benchmark: Benchmark) -> GapLine:
    between = f"{row.first} − {row.second}"
    if row.groups > 2:
        between = f"widest of {row.groups}: {between}"
    limits = [words.difference(one, benchmark) for one in (row.low, row.high)]
    return GapLine(
        row.arm, between, row.split or "",
        words.difference(row.value, benchmark) + words.difference_unit(benchmark),
        " to ".join(limits), row.low > 0 or row.high < 0, row.note,
    )  # fmt: skip


def corrected(results: Results) -> list[CorrectedLine]:
    """Each judged rate as it was, and corrected; the first is never left out."""
    lines = []
    for row in results.corrected:
        benchmark = results.benchmarks[row.benchmark]
        cell = words.cell_of(results, row.arm, row.benchmark, "*/*")
        better = row.corrected
        lines.append(
            CorrectedLine(
                benchmark.title, row.arm, row.judge, words.percent(row.raw),
                words.interval(cell.low, cell.high, benchmark) if cell else "no interval",
                words.percent(better.value) if better else "not corrected",
                words.interval(better.low, better.high, benchmark) if better else "",
                row.problem,
            )
        )  # fmt: skip
    return lines
