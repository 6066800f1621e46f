"""Breakdowns arranged for the page: benchmarks by group, framing or language, with their gaps.

Leaves out: computing them (`gather.py`) and the headline benchmark's own framings, which have
figures (`views.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

from whyfirst.report import words
from whyfirst.report.parts import Cell, GapRow
from whyfirst.report.schema import Benchmark, Results
from whyfirst.report.views import MOST_COLUMNS, Number


@dataclass(frozen=True)
class Breakdown:
    """One benchmark by one field, and the gaps between groups.

    A row is an arm and a column a group; with more groups than a page is wide it is `turned`, a row
    a group and a column an arm.
    """

    benchmark: Benchmark
    field: str
    turned: bool
    columns: list[str]
    rows: list[tuple[str, list[Number | None]]]
    gaps: list[GapRow]


def breakdowns(results: Results) -> list[Breakdown]:
    """Every benchmark by every field it declares, as far as there are numbers."""
    place = words.headline_place(results)
    parts = []
    for name, benchmark in results.benchmarks.items():
        tables = {table.by: table.arms for table in results.groups if table.benchmark == name}
        for field in ("framing", "split"):
            # The headline's benchmark has figures for these.
            if field in benchmark.by and not (place and place[0] == name):
                tables[field] = _from_cells(results, name, field)
        for field, arms in tables.items():
            groups = list(dict.fromkeys(group for cells in arms.values() for group in cells))
            if len(groups) < 2:
                continue
            # Turned rather than split: arms are few, and one looks for the lowest group.
            turned = len(groups) > MOST_COLUMNS
            rows, columns = (groups, list(arms)) if turned else (list(arms), groups)
            cells = {
                (group if turned else arm, arm if turned else group): _number(cell, benchmark)
                for arm, by_group in arms.items()
                for group, cell in by_group.items()
            }
            body = [(row, [cells.get((row, column)) for column in columns]) for row in rows]
            # A benchmark compares its groups; where it has none, nothing else has gaps.
            gaps = [row for row in results.gaps if row.benchmark == name and field == "group"]
            parts.append(Breakdown(benchmark, field, turned, columns, body, gaps))
    return parts


def _from_cells(results: Results, benchmark: str, field: str) -> dict[str, dict[str, Cell]]:
    """Arm -> single split or framing -> cell over all of the other axis."""
    tables: dict[str, dict[str, Cell]] = {}
    for arm, spec in results.arms.items():
        for key, cell in spec.benchmarks.get(benchmark, {}).items():
            split, _, framing = key.partition("/")
            name, other = (framing, split) if field == "framing" else (split, framing)
            if other == "*" and name != "*" and "+" not in name:
                tables.setdefault(arm, {})[name] = cell
    return tables


def _number(cell: Cell, benchmark: Benchmark) -> Number:
    title = words.scored(cell, benchmark)
    if cell.unscored:
        title += f"; {cell.unscored} unscored"
    if benchmark.unit == "proportion" and cell.value is not None and cell.n <= cell.n_seeds:
        # One item, however many seeds: its share of seeds is no rate of a group.
        passed = round(cell.value * cell.n)
        return Number(f"{passed} of {cell.n} {benchmark.happened[0]}", "one item", title)
    value = words.amount(cell.value, benchmark)
    return Number(value, words.interval_and_n(cell, benchmark), title)
