"""Results arranged for the page: which cells, rows and panels each section shows.

Every function takes `Results` and gives plain data or finished figures for a template. Leaves out:
sentences (`answer.py`, `words.py`), drawing (`figures.py`) and markup (`templates/`).
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from markupsafe import Markup

from whyfirst.report import decisive, figures, words
from whyfirst.report.conduct import beside
from whyfirst.report.figures import PanelRow
from whyfirst.report.parts import Comparison
from whyfirst.report.schema import Benchmark, Cell, Contrast, Results
from whyfirst.report.svg import ArmStyle, Estimate, marker, render

Styles = Mapping[str, ArmStyle]
NEUTRAL = ArmStyle("cn", "diamond")
MOST_COLUMNS = 6  # of a table that a page is wide enough for


@dataclass(frozen=True)
class Column:
    """A column of the arms table: a benchmark on one cell."""

    benchmark: str
    cell: str
    title: str
    where: str


@dataclass(frozen=True)
class Number:
    """A number with its interval in words, both with counts for the pointer, and its strip."""

    value: str
    interval: str
    title: str
    strip: Markup = Markup()  # noqa: RUF009  (a string, which can't be changed)


@dataclass(frozen=True)
class ForestGroup:
    """The contrasts of one benchmark on one cell: (contrast, plot, verdict)."""

    benchmark: Benchmark
    cell: str
    axis: Markup
    rows: list[tuple[Contrast, Markup, str]]


@dataclass(frozen=True)
class Panel:
    """A titled figure."""

    title: str
    figure: Markup


def icons(styles: Styles) -> dict[str, Markup]:
    """Each arm's marker, to stand before its name in text and tables."""
    return {
        arm: render(14, 14, "", marker(style, 7, 7, 4.6), css="icon")
        for arm, style in styles.items()
    }


def _estimate(cell: Cell | None) -> Estimate:
    return (None, None, None) if cell is None else (cell.value, cell.low, cell.high)


def panel_for(
    results: Results, styles: Styles, benchmark: str, cell: str, values: bool = False
) -> Markup | None:
    """All arms on one cell, with what shows whether they act beside it; None where empty."""
    other = beside(results, benchmark)
    pair = results.headline_contrast()
    rows = []
    for arm in results.arms:
        main = words.cell_of(results, arm, benchmark, cell)
        second = words.cell_of(results, arm, other, cell) if other else None
        if main is None and second is None:
            continue
        title = f"{arm}: {benchmark} {words.scored(main, results.benchmarks[benchmark])}"
        if other:
            title += f"; {other} {words.scored(second, results.benchmarks[other])}"
        strong = pair is not None and arm in (pair.a, pair.b)
        rows.append(PanelRow(arm, _estimate(main), _estimate(second), title, strong))
    # An empty frame would look as if every arm stood at nothing.
    if not any(row.main[0] is not None for row in rows):
        return None
    label = f"{benchmark} of every arm, {words.cell_words(cell)}"
    return figures.panel(rows, styles, label, results.benchmarks[benchmark], values)


def columns(results: Results) -> list[Column]:
    """The arms table's columns: the headline's cell first, then every benchmark over all items,
    each followed by those it misleads without."""
    ordered = dict.fromkeys(
        shown
        for name, benchmark in results.benchmarks.items()
        for shown in (name, *benchmark.beside)
        if shown in results.benchmarks
    )
    without = unmeasured(results)
    wanted = [(name, "*/*") for name in ordered if name not in without]
    place = words.headline_place(results)
    # The headline is often one part of a benchmark, which the whole would hide.
    if place is not None and place not in wanted:
        wanted.insert(0, place)
    return [
        Column(name, cell, results.benchmarks[name].title, words.cell_words(cell))
        for name, cell in wanted
        if any(words.cell_of(results, arm, name, cell) for arm in results.arms)
    ]


def unmeasured(results: Results) -> dict[str, str]:
    """Benchmarks of which no arm has a number -> the commonest reason: tables leave them out."""
    cells: dict[str, list[Cell]] = {}
    for arm in results.arms.values():
        for name, parts in arm.benchmarks.items():
            cells.setdefault(name, []).extend(parts.values())
    empty = {}
    for name in results.benchmarks:
        if name in cells and all(cell.value is None for cell in cells[name]):
            reasons: Counter[str] = Counter()
            for row in results.unscored:
                if row.benchmark == name:
                    reasons.update(row.reasons)
            empty[name] = next((r for r, _ in reasons.most_common(1)), "no reason was given")
    return empty


def batches(columns: list[Column]) -> list[list[Column]]:
    """The columns in tables of a width that a page takes, as even as can be."""
    # Ceilings: seven columns make four and three, not six and one.
    count = -(-len(columns) // MOST_COLUMNS) or 1
    size = -(-len(columns) // count)
    return [columns[start : start + size] for start in range(0, len(columns), size or 1)]


def table_cell(results: Results, styles: Styles, arm: str, column: Column) -> Number | None:
    """An arm's number in a column, or None where it wasn't measured."""
    cell = words.cell_of(results, arm, column.benchmark, column.cell)
    if cell is None:
        return None
    benchmark = results.benchmarks[column.benchmark]
    title = words.scored(cell, benchmark)
    if cell.unscored:
        bounds = " to ".join(words.amount(end, benchmark) for end in (cell.worst, cell.best))
        title += f"; {cell.unscored} unscored, bounds {bounds}"
    return Number(
        words.amount(cell.value, benchmark), words.interval_and_n(cell, benchmark), title,
        figures.bar(_estimate(cell), styles[arm], benchmark),
    )  # fmt: skip


def forest(results: Results, styles: Styles) -> list[ForestGroup]:
    """Every contrast by benchmark and cell, the headline's first; one scale a unit."""
    place = words.headline_place(results)
    names = sorted(results.benchmarks, key=lambda name: place is None or name != place[0])
    unit_of = {name: row.unit for name, row in results.benchmarks.items()}
    # Points and scores have no scale in common.
    limits = {
        unit: figures.forest_limits([c for c in results.contrasts if unit_of[c.benchmark] == unit])
        for unit in ("proportion", "score")
    }
    ordered = sorted(
        results.contrasts, key=lambda c: (c.name != results.headline, names.index(c.benchmark))
    )
    groups = []
    for name, cell in dict.fromkeys((c.benchmark, c.cell) for c in ordered):
        mine = [c for c in results.contrasts if (c.benchmark, c.cell) == (name, cell)]
        # The headline leads its group; interactions follow plain differences.
        mine.sort(key=lambda c: (c.name != results.headline, c.kind))
        scale, benchmark = limits[unit_of[name]], results.benchmarks[name]
        rows = []
        for c in mine:
            style = styles.get(c.a, NEUTRAL) if c.kind == "difference" else NEUTRAL
            plot = figures.forest_row(c, scale, style, benchmark)
            rows.append((c, plot, verdict(results, c)))
        axis = figures.forest_axis(scale, benchmark.unit)
        groups.append(ForestGroup(benchmark, cell, axis, rows))
    return groups


def verdict(results: Results, contrast: Contrast) -> str:
    """What a contrast comes to, in a few words."""
    if stuck := words.cannot_move(results, contrast):
        return f"cannot move: {stuck}"
    where = words.direction(contrast)
    if where in ("higher", "lower") and (contrast.p_adjusted or 0) > 0.05:
        return f"{where}, not after correction"
    return words.WAYS.get(where, where)


def square(results: Results, styles: Styles) -> list[Panel]:
    """A panel for each of `words.axes_cells`, as a whole or not at all."""
    cells = words.axes_cells(results)
    panels = _panels(results, styles, cells)
    # Three quarters of a 2 x 2 would be read as the whole.
    return panels if len(panels) == len(cells) else []


@dataclass(frozen=True)
class SquareTable:
    """One part of the 2 x 2 as numbers: arms down, the headline's metric and those beside it
    across; `rest` are the arms that no primary contrast is about."""

    title: str
    columns: list[str]
    rows: dict[str, list[Number | None]]
    rest: dict[str, list[Number | None]]


def square_tables(results: Results, styles: Styles) -> list[SquareTable]:
    """The 2 x 2 in numbers, where the study says what it decides by."""
    place, found = words.headline_place(results), decisive.primaries(results)
    if place is None or not found:
        return []
    metrics = [place[0], *results.benchmarks[place[0]].beside]
    leading = dict.fromkeys([found[0].a, *(c.b for c in found), "direct"])
    tables = []
    for title, cell in words.axes_cells(results).items():
        rows = {
            arm: [table_cell(results, styles, arm, Column(m, cell, "", "")) for m in metrics]
            for arm in results.arms
        }
        titles = [results.benchmarks[metric].title for metric in metrics]
        first = {arm: rows[arm] for arm in leading if arm in rows}
        rest = {arm: row for arm, row in rows.items() if arm not in leading}
        tables.append(SquareTable(words.capital(title), titles, first, rest))
    return tables


def split_panels(results: Results, styles: Styles) -> list[Panel]:
    """One panel for each split under each framing of the benchmark's axes, as far as measured; the
    other framings are pooled."""
    place = words.headline_place(results)
    if place is None:
        return []
    benchmark = results.benchmarks[place[0]]
    parts = _parts(results, place[0])
    framings = _single(framing for _, framing in parts)
    declared = list(benchmark.axes.framings.values()) if benchmark.axes else []
    grouped = [name for name in declared if name in framings] or ["*"]
    splits = sorted(_single(split for split, _ in parts))
    return _panels(results, styles, _titled(f"{s}/{f}" for s in splits for f in grouped))


def framing_panels(results: Results, styles: Styles) -> list[Panel]:
    """One panel for each single framing, on the headline's splits where measured, else on all."""
    place = words.headline_place(results)
    if place is None:
        return []
    benchmark, cell = place
    parts = _parts(results, benchmark)
    framings = _single(framing for _, framing in parts)
    axes = results.benchmarks[benchmark].axes
    first = set(axes.framings.values()) if axes else set()
    split = cell.partition("/")[0]
    return _panels(results, styles, _titled(
        f"{split if (split, framing) in parts else '*'}/{framing}"
        for framing in sorted(framings, key=lambda name: name not in first)
    ))  # fmt: skip


def headline_panel(results: Results, styles: Styles) -> Panel | None:
    """Every arm on the headline's cell, values printed."""
    place = words.headline_place(results)
    figure = panel_for(results, styles, *place, values=True) if place else None
    if place is None or figure is None:
        return None
    return Panel(f"{results.benchmarks[place[0]].title}, {words.cell_words(place[1])}", figure)


def _parts(results: Results, benchmark: str) -> list[tuple[str, str]]:
    """(split, framing) of every cell that a benchmark was measured on, in order of appearance."""
    keys = dict.fromkeys(k for a in results.arms.values() for k in a.benchmarks.get(benchmark, {}))
    return [(split, framing) for split, _, framing in (key.partition("/") for key in keys)]


def _single(names: Iterable[str]) -> list[str]:
    """Splits or framings without those that pool others, in order of appearance."""
    return list(dict.fromkeys(name for name in names if name != "*" and "+" not in name))


def _titled(cells: Iterable[str]) -> dict[str, str]:
    return {words.cell_words(cell): cell for cell in cells}


def _panels(results: Results, styles: Styles, cells: Mapping[str, str]) -> list[Panel]:
    """The headline benchmark's panel on each cell (title -> cell) that has numbers."""
    place = words.headline_place(results)
    figures_ = {
        title: panel_for(results, styles, place[0], cell) if place else None
        for title, cell in cells.items()
    }
    return [Panel(words.capital(title), figure) for title, figure in figures_.items() if figure]


def seeds_in_words(seeds: list[int]) -> str:
    """Seeds with runs shortened: [0, 1, 2, 5] -> "0-2, 5"."""
    runs: list[list[int]] = []
    for seed in sorted(set(seeds)):
        if runs and seed == runs[-1][-1] + 1:
            runs[-1].append(seed)
        else:
            runs.append([seed])
    return ", ".join(str(r[0]) if len(r) == 1 else f"{r[0]}–{r[-1]}" for r in runs)


@dataclass(frozen=True)
class ComparisonRow:
    """A comparison's win rate, in words."""

    comparison: Comparison
    rate: str
    limits: str
    reading: str
    bias: str


def comparisons(results: Results) -> list[ComparisonRow]:
    """Every comparison: who was preferred, and how much of it was the order shown."""
    rows = []
    for row in results.comparisons:
        rate, bias = row.win_rate, row.position_bias
        value, limits, reading = "n/a", "no interval", "nothing was preferred"
        if rate is not None:
            value, limits = words.percent(rate.value), words.interval(rate.low, rate.high, None)
            preferred = row.a if rate.low > 0.5 else row.b
            # Half is no preference, since a tie counts half.
            apart = rate.low > 0.5 or rate.high < 0.5
            reading = f"{preferred} is preferred" if apart else "no detectable preference"
        lean = "n/a"
        if bias is not None:
            lean = f"{words.points(bias.value)} ({words.points(bias.low)}"
            lean += f" to {words.points(bias.high)})"
        rows.append(ComparisonRow(row, value, limits, reading, lean))
    return rows
