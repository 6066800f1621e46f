"""Results arranged for the page: which cells, rows and panels each section shows.

Every function takes `Results` and gives plain data or finished figures for a template. Leaves out:
sentences (`answer.py`, `words.py`), drawing (`figures.py`) and markup (`templates/`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from markupsafe import Markup

from whyfirst.report import figures, words
from whyfirst.report.checks import beside
from whyfirst.report.figures import Estimate, PanelRow
from whyfirst.report.palette import ArmStyle
from whyfirst.report.parts import Comparison
from whyfirst.report.schema import Cell, Contrast, Results
from whyfirst.report.svg import marker, render

Styles = Mapping[str, ArmStyle]
NEUTRAL = ArmStyle("cn", "diamond")
_MOST_COLUMNS = 6


@dataclass(frozen=True)
class Column:
    """A column of the arms table: a benchmark on one cell."""

    benchmark: str
    cell: str
    title: str
    where: str
    definition: str


@dataclass(frozen=True)
class TableCell:
    """One number of the arms table."""

    value: str
    interval: str
    title: str
    strip: Markup


@dataclass(frozen=True)
class ForestRow:
    """One contrast of the forest table, numbers already in words."""

    contrast: Contrast
    plot: Markup
    difference: str
    interval: str
    p: str
    p_adjusted: str
    mde: str
    verdict: str


@dataclass(frozen=True)
class ForestGroup:
    """The contrasts of one benchmark on one cell."""

    title: str
    where: str
    axis: Markup
    rows: list[ForestRow]


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


def headline_place(results: Results) -> tuple[str, str] | None:
    """(benchmark, cell) of the headline, or of the first benchmark where there is none."""
    contrast = results.headline_contrast()
    if contrast is not None:
        return contrast.benchmark, contrast.cell
    first = next(iter(results.benchmarks), None)
    return None if first is None else (first, "*/*")


def _estimate(cell: Cell | None) -> Estimate:
    return (None, None, None) if cell is None else (cell.value, cell.low, cell.high)


def panel_for(
    results: Results, styles: Styles, benchmark: str, cell: str, values: bool = False
) -> Markup | None:
    """All arms on one cell, with what shows whether they act beside it; None where empty."""
    other = beside(results, benchmark)
    pair = results.headline_contrast()
    strong = {pair.a, pair.b} if pair else set()
    rows = []
    for arm in results.arms:
        main = words.cell_of(results, arm, benchmark, cell)
        second = words.cell_of(results, arm, other, cell) if other else None
        if main is None and second is None:
            continue
        title = f"{arm}: {benchmark} {words.scored(main, results.benchmarks[benchmark])}"
        if other:
            title += f"; {other} {words.scored(second, results.benchmarks[other])}"
        rows.append(PanelRow(arm, _estimate(main), _estimate(second), title, arm in strong))
    if not any(row.main[0] is not None for row in rows):
        return None
    label = f"{benchmark} of every arm, {words.cell_words(cell)}"
    return figures.panel(rows, styles, label, results.benchmarks[benchmark].chance, values)


def columns(results: Results) -> list[Column]:
    """The arms table's columns: the headline's cell first, then every benchmark over all items."""
    wanted = [(name, "*/*") for name in _side_by_side(results) if name not in unmeasured(results)]
    place = headline_place(results)
    if place is not None and place not in wanted:
        wanted.insert(0, place)
    return [
        Column(
            name, cell, results.benchmarks[name].title, words.cell_words(cell),
            results.benchmarks[name].definition,
        )
        for name, cell in wanted
        if any(words.cell_of(results, arm, name, cell) for arm in results.arms)
    ]  # fmt: skip


def unmeasured(results: Results) -> dict[str, str]:
    """Benchmarks of which no arm has a number -> the commonest reason: tables leave them out."""
    given = {name for arm in results.arms.values() for name in arm.benchmarks}
    empty = given - {
        name
        for arm in results.arms.values()
        for name, cells in arm.benchmarks.items()
        if any(cell.value is not None for cell in cells.values())
    }
    reasons: dict[str, Counter[str]] = {name: Counter() for name in results.benchmarks}
    for row in results.unscored:
        if row.benchmark in empty:
            reasons[row.benchmark].update(row.reasons)
    return {
        name: next((reason for reason, _ in reasons[name].most_common(1)), "no reason was given")
        for name in results.benchmarks
        if name in empty
    }


def batches(columns: list[Column]) -> list[list[Column]]:
    """The columns in tables of a width that a page takes, as even as can be."""
    count = -(-len(columns) // _MOST_COLUMNS) or 1
    size = -(-len(columns) // count)
    return [columns[start : start + size] for start in range(0, len(columns), size or 1)]


def _side_by_side(results: Results) -> list[str]:
    """The benchmarks in their order, each followed by those it misleads without."""
    ordered: dict[str, None] = {}
    for name, benchmark in results.benchmarks.items():
        for one in (name, *benchmark.beside):
            if one in results.benchmarks:
                ordered.setdefault(one)
    return list(ordered)


def table_cell(results: Results, styles: Styles, arm: str, column: Column) -> TableCell | None:
    """An arm's number in a column, or None where it wasn't measured."""
    cell = words.cell_of(results, arm, column.benchmark, column.cell)
    if cell is None:
        return None
    benchmark = results.benchmarks[column.benchmark]
    title = words.scored(cell, benchmark)
    if cell.unscored:
        title += (
            f"; {cell.unscored} unscored, bounds {words.amount(cell.worst, benchmark)}"
            f" to {words.amount(cell.best, benchmark)}"
        )
    strip = figures.bar(_estimate(cell), styles[arm], benchmark.chance)
    return TableCell(
        words.amount(cell.value, benchmark),
        f"{words.interval(cell.low, cell.high, benchmark)}; n{words.SPACE}{cell.n:,}", title, strip,
    )  # fmt: skip


def forest(results: Results, styles: Styles) -> list[ForestGroup]:
    """Every contrast by benchmark and cell, the headline's first; one scale a unit."""
    place = headline_place(results)
    names = sorted(results.benchmarks, key=lambda name: place is None or name != place[0])
    limits = {}
    for unit in ("proportion", "score"):
        limits[unit] = figures.forest_limits(
            [c for c in results.contrasts if results.benchmarks[c.benchmark].unit == unit]
        )
    groups = []
    for key in dict.fromkeys((c.benchmark, c.cell) for c in sorted(
        results.contrasts, key=lambda c: (c.name != results.headline, names.index(c.benchmark))
    )):  # fmt: skip
        benchmark = results.benchmarks[key[0]]
        mine = [c for c in results.contrasts if (c.benchmark, c.cell) == key]
        mine.sort(key=lambda c: (c.name != results.headline, c.kind))
        rows = [_forest_row(results, styles, c, limits[benchmark.unit]) for c in mine]
        axis = figures.forest_axis(limits[benchmark.unit], benchmark.unit == "score")
        groups.append(ForestGroup(benchmark.title, words.cell_words(key[1]), axis, rows))
    return groups


def _forest_row(
    results: Results, styles: Styles, contrast: Contrast, limits: tuple[float, float]
) -> ForestRow:
    benchmark = results.benchmarks[contrast.benchmark]
    style = styles.get(contrast.a, NEUTRAL) if contrast.kind == "difference" else NEUTRAL
    where = words.direction(contrast)
    verdict = {"higher": "higher", "lower": "lower", "none": "no detectable difference",
               "unknown": "too few data"}[where]  # fmt: skip
    if where in ("higher", "lower") and (contrast.p_adjusted or 0) > 0.05:
        verdict += ", not after correction"
    stuck = words.cannot_move(results, contrast)
    if stuck:
        verdict = f"cannot move: {stuck}"
    return ForestRow(
        contrast,
        figures.forest_row(contrast, limits, style),
        words.difference(contrast.difference, benchmark),
        words.difference_interval(contrast, benchmark),
        _bare_p(contrast.p),
        _bare_p(contrast.p_adjusted),
        words.difference(contrast.mde, benchmark).lstrip("+"),
        verdict,
    )


def _bare_p(p: float | None) -> str:
    return words.p_text(p).replace(words.SPACE, " ").removeprefix("p ").removeprefix("= ")


def _parts(results: Results, benchmark: str) -> tuple[list[str], list[str]]:
    """The single splits and framings a benchmark was measured on, in order of appearance."""
    splits: dict[str, None] = {}
    framings: dict[str, None] = {}
    for arm in results.arms.values():
        for key in arm.benchmarks.get(benchmark, {}):
            split, _, framing = key.partition("/")
            if split != "*" and "+" not in split:
                splits[split] = None
            if framing != "*" and "+" not in framing:
                framings[framing] = None
    return sorted(splits), list(framings)


def _grouped(results: Results, benchmark: str) -> list[str]:
    """The framings shown split by split: those of the benchmark's axes; the rest are pooled."""
    axes = results.benchmarks[benchmark].axes
    return list(axes.framings.values()) if axes else []


def square(results: Results, styles: Styles) -> list[Panel]:
    """The 2 x 2 that leads the report: a panel for each part of the headline benchmark's two axes,
    what it is read beside in the same panel; empty where it declares none."""
    place = headline_place(results)
    axes = results.benchmarks[place[0]].axes if place else None
    if place is None or axes is None:
        return []
    found = []
    for topics, split in axes.splits.items():
        for how, framing in axes.framings.items():
            figure = panel_for(results, styles, place[0], f"{split}/{framing}")
            if figure is not None:
                found.append(Panel(words.capital(f"{topics}, {how}"), figure))
    return found if len(found) == len(axes.splits) * len(axes.framings) else []


def split_panels(results: Results, styles: Styles) -> list[Panel]:
    """One panel for each split under each grouped framing, as far as measured."""
    place = headline_place(results)
    if place is None:
        return []
    splits, framings = _parts(results, place[0])
    grouped = [name for name in _grouped(results, place[0]) if name in framings] or ["*"]
    return _panels(results, styles, place[0], [f"{s}/{f}" for s in splits for f in grouped])


def framing_panels(results: Results, styles: Styles) -> list[Panel]:
    """One panel for each single framing, on the headline's splits where measured, else on all."""
    place = headline_place(results)
    if place is None:
        return []
    benchmark, cell = place
    _, framings = _parts(results, benchmark)
    split = cell.partition("/")[0]
    wanted = []
    grouped = _grouped(results, benchmark)
    for framing in sorted(framings, key=lambda name: name not in grouped):
        key = f"{split}/{framing}"
        measured = any(words.cell_of(results, arm, benchmark, key) for arm in results.arms)
        wanted.append(key if measured else f"*/{framing}")
    return _panels(results, styles, benchmark, wanted)


def _panels(results: Results, styles: Styles, benchmark: str, cells: Iterable[str]) -> list[Panel]:
    found = []
    for cell in cells:
        figure = panel_for(results, styles, benchmark, cell)
        if figure is not None:
            found.append(Panel(words.capital(words.cell_words(cell)), figure))
    return found


def headline_panel(results: Results, styles: Styles) -> Panel | None:
    """Every arm on the headline's cell, values printed."""
    place = headline_place(results)
    if place is None:
        return None
    figure = panel_for(results, styles, *place, values=True)
    title = f"{results.benchmarks[place[0]].title}, {words.cell_words(place[1])}"
    return None if figure is None else Panel(title, figure)


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
    for one in results.comparisons:
        rate, bias = one.win_rate, one.position_bias
        if rate is None:
            value, limits, reading = "n/a", "no interval", "nothing was preferred"
        else:
            value, limits = words.percent(rate.value), words.interval(rate.low, rate.high, None)
            apart = rate.low > 0.5 or rate.high < 0.5
            preferred = one.a if rate.low > 0.5 else one.b
            reading = f"{preferred} is preferred" if apart else "no detectable preference"
        lean = "n/a" if bias is None else (
            f"{words.points(bias.value)} ({words.points(bias.low)} to {words.points(bias.high)})"
        )  # fmt: skip
        rows.append(ComparisonRow(one, value, limits, reading, lean))
    return rows
