"""Curves and breakdowns: losses, checkpoints and doses; benchmarks by group, with their gaps.

Leaves out: smoothing (what was logged is what is drawn), computing breakdowns (`gather.py`) and the
headline benchmark's own framings, which have figures (`views.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from whyfirst.report import figures, words
from whyfirst.report.figures import Series
from whyfirst.report.parts import Cell, CheckpointPoint, DosePoint, GapRow
from whyfirst.report.schema import Benchmark, Results
from whyfirst.report.views import MOST_COLUMNS, NEUTRAL, Number, Panel, Styles


def loss_panels(results: Results, styles: Styles) -> list[Panel]:
    """One panel a stage name, one line for each training run that several arms may share."""
    trained = {arm for arm, spec in results.arms.items() if spec.stages}
    panels = []
    for stage in dict.fromkeys(curve.stage for curve in results.curves.loss):
        curves = [c for c in results.curves.loss if c.stage == stage and c.points]
        series = []
        for curve in curves:
            # A line in the colour of its only arm; neutral where arms share the stage.
            known = [arm for arm in curve.arms if arm in styles]
            style = styles[known[0]] if len(known) == 1 else NEUTRAL
            shared = "all arms" if trained <= set(curve.arms) else f"{len(curve.arms)} arms"
            label = (known or ["?"])[0] if len(curve.arms) < 2 else shared
            series.append(Series(label, style, [(x, y, None, None) for x, y in curve.points]))
        if series:
            figure = figures.chart(series, f"training loss of {stage}", "updates", share=False)
            # The arms of the one line, which its label only counts.
            names = curves[0].arms if len(curves) == 1 and len(curves[0].arms) > 1 else ()
            panels.append(Panel(f"{stage}: {', '.join(names)}" if names else stage, figure))
    return panels


#: kind of dose, the axis of its figure, and what stands above it
DOSES = (
    ("documents", "explanations, of all documents",
     ("With fewer explanations", "Their share of the first documents; the rest are neutral.")),
    ("contrary", "contrary demonstrations",
     ("With contrary demonstrations mixed in",
      "The share of demonstrations that contradict the explained value.")),
)  # fmt: skip


def measured_panels(
    results: Results,
    styles: Styles,
    points: Sequence[CheckpointPoint] | Sequence[DosePoint],
    x_label: str,
) -> list[Panel]:
    """One panel for each benchmark and cell that was measured at several points."""
    panels = []
    for benchmark, cell in dict.fromkeys((point.benchmark, point.cell) for point in points):
        mine = [p for p in points if (p.benchmark, p.cell) == (benchmark, cell)]
        arms: dict[str, list[tuple[float, float, float | None, float | None]]] = {}
        for point in mine:
            if point.value is not None:
                place = (_at(point), point.value, point.low, point.high)
                arms.setdefault(point.arm, []).append(place)
        # Nothing could be scored at any point.
        if not arms:
            continue
        series = [Series(arm, styles.get(arm, NEUTRAL), sorted(data)) for arm, data in arms.items()]
        doses = sorted({_at(point) for point in mine if isinstance(point, DosePoint)})
        known = results.benchmarks.get(benchmark)
        title = f"{known.title if known else benchmark}, {words.cell_words(cell)}"
        chance = known.chance if known else None
        share = known is None or known.unit == "proportion"
        panels.append(Panel(title, figures.chart(series, title, x_label, share, doses, chance)))
    return panels


def _at(point: CheckpointPoint | DosePoint) -> float:
    return point.dose if isinstance(point, DosePoint) else float(point.step)


@dataclass(frozen=True)
class Breakdown:
    """One benchmark by one field, and the gaps between groups.

    A row is an arm and a column a group; with more groups than a page is wide it is `turned`, a row
    a group and a column an arm. Without rows there are only gaps, and `field` is "".
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
            gaps = [row for row in results.gaps if row.benchmark == name and field == "group"]
            parts.append(Breakdown(benchmark, field, turned, columns, body, gaps))
        # What a benchmark compares may be no groups of it (a mean and chance), or too many.
        gaps = [row for row in results.gaps if row.benchmark == name]
        if gaps and not any(part.benchmark is benchmark and part.gaps for part in parts):
            parts.append(Breakdown(benchmark, "", False, [], [], gaps))
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
    if benchmark.unit == "proportion" and cell.value is not None and cell.answers <= cell.n_seeds:
        # One item, however many seeds: its share of seeds is no rate of a group.
        passed = round(cell.value * cell.answers)
        return Number(f"{passed} of {cell.answers} {benchmark.happened[0]}", "one item", title)
    value = words.amount(cell.value, benchmark)
    return Number(value, words.interval_and_n(cell, benchmark), title)
