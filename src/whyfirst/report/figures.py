"""The report's figures as inline SVG: arm panels, forest rows, per-seed strips, curves.

Every mark carries its interval and, on hover, its numbers; labels stand beside what they name, so
no figure needs a legend of colours. Leaves out: deciding what is shown (`views.py`).
"""

import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import floor
from typing import Literal

from markupsafe import Markup

from whyfirst.report.schema import Benchmark, Contrast
from whyfirst.report.svg import (
    ArmStyle,
    Estimate,
    Scale,
    el,
    estimate_mark,
    line,
    linear,
    marker,
    num,
    render,
    text,
    ticks,
)
from whyfirst.report.words import (
    amount,
    difference,
    difference_range,
    difference_words,
    percent,
    plural,
    points,
)

Unit = Literal["proportion", "score"]


@dataclass(frozen=True)
class PanelRow:
    """One arm of a panel: the main estimate, the one beside it, and both in words."""

    arm: str
    main: Estimate
    beside: Estimate
    title: str
    strong: bool = False


@dataclass(frozen=True)
class Series:
    """One line of a chart: (x, value, low, high), `label` at its end."""

    label: str
    style: ArmStyle
    data: Sequence[tuple[float, float, float | None, float | None]]


def panel(
    rows: Sequence[PanelRow],
    styles: Mapping[str, ArmStyle],
    label: str,
    benchmark: Benchmark,
    values: bool = False,
) -> Markup:
    """Arms down the side, 0 to 1 across: main estimate filled, the one beside it hollow.

    Args:
        rows: one an arm, in the study's order.
        styles: of every arm.
        label: what the panel shows, for screen readers.
        benchmark: of the main estimates; chance is marked with a dashed line.
        values: print the main value at the right edge.
    """
    two = any(row.beside[0] is not None for row in rows)
    step, left = (30 if two else 22), 142
    right = 60 if values else 12  # room for a marker at 100 % beside its printed value
    width, top = 400, 6
    bottom = top + step * len(rows)
    scale = linear(0, 1, left, width - right)
    parts = [
        el("rect", {"x": 0, "y": top + step * i, "width": width, "height": step, "class": "band"})
        for i in range(0, len(rows), 2)
    ]
    for value in (0, 0.25, 0.5, 0.75, 1):
        shown = f"{value:g}" if benchmark.unit == "score" else f"{value * 100:.0f}"
        parts.append(line(scale(value), top, scale(value), bottom, "grid"))
        parts.append(text(scale(value), bottom + 13, shown, "tick", "middle"))
    if (chance := benchmark.chance) is not None:
        parts.append(line(scale(chance), top, scale(chance), bottom, "reference"))
    for index, row in enumerate(rows):
        middle = top + step * (index + 0.5)
        style = styles[row.arm]
        weight = "name strong" if row.strong else "name"
        # Before the name and not between it and the scale, where it would look like a value.
        parts.append(marker(style, 8, middle, 4.5))
        parts.append(text(18, middle + 4, _short(row.arm), weight))
        y = middle - 4 if two else middle
        parts += estimate_mark(style, scale, row.main, y, 5, row.title)
        parts += estimate_mark(style, scale, row.beside, middle + 8, 3.6, row.title, hollow=True)
        if values:
            share = benchmark.unit == "proportion"
            shown = percent(row.main[0], 0) if share else amount(row.main[0], benchmark)
            parts.append(text(width - 4, middle + 4, shown, weight + " value", "end"))
    return render(width, bottom + 18, label, *parts)


def _short(name: str, limit: int = 19) -> str:
    return name if len(name) <= limit else name[: limit - 1] + "…"


def forest_limits(contrasts: Sequence[Contrast]) -> tuple[float, float]:
    """The common scale of forest rows: every interval and zero, rounded outwards to 5 points."""
    values = [0.0]
    for contrast in contrasts:
        values += [v for v in (contrast.low, contrast.high, contrast.difference) if v is not None]
    low, high = min(values), max(values)
    step = 0.05 if high - low < 0.5 else 0.1
    # A hundredth to spare: an interval that ends on the frame looks as if it went on.
    low, high = (low - 0.01) // step * step, -((-high - 0.01) // step) * step
    return (round(low, 6), round(high, 6))


def strip(
    estimate: Estimate, limits: tuple[float, float], style: ArmStyle, label: str, width: int = 300
) -> Markup:
    """A table cell's figure: one estimate and interval on a scale that has a zero."""
    height = 26
    scale = linear(*limits, 8, width - 8)
    # Lines reach past the row, which clips them: they meet from row to row at any row height.
    parts = [line(scale(v), -40, scale(v), height + 40, "grid") for v in ticks(*limits, 5)]
    parts.append(line(scale(0), -40, scale(0), height + 40, "zero"))
    parts += estimate_mark(style, scale, estimate, height / 2, 5, label)
    return render(width, height, label, *parts, css="figure strip")


def strip_axis(
    limits: tuple[float, float], label: str, number: Callable[[float], str], width: int = 300
) -> Markup:
    """The scale above strips, its numbers as `number` writes them."""
    scale = linear(*limits, 8, width - 8)
    parts = [
        text(scale(v), 12, number(v), "tick", "middle")
        for v in ticks(*limits, 5)
        if 12 < scale(v) < width - 12  # the outermost would be cut
    ]
    return render(width, 16, label, *parts, css="figure strip")


def forest_row(
    contrast: Contrast, limits: tuple[float, float], style: ArmStyle, benchmark: Benchmark
) -> Markup:
    """One contrast's estimate and interval on the common scale, zero marked."""
    label = difference_words(contrast.difference, benchmark)
    return strip((contrast.difference, contrast.low, contrast.high), limits, style, label)


def forest_axis(limits: tuple[float, float], unit: Unit) -> Markup:
    """The scale of forest rows, in points (or in the score's own unit)."""
    return strip_axis(limits, "scale of differences", lambda value: _tick(value, unit))


def _tick(difference: float, unit: Unit) -> str:
    return f"{difference:+.2f}" if unit == "score" else points(difference, 0)


def bar(estimate: Estimate, style: ArmStyle, benchmark: Benchmark) -> Markup:
    """A table cell's strip: the estimate with its interval between 0 and 1, chance marked."""
    width, height = 120, 14
    scale = linear(0, 1, 5, width - 5)
    parts = [line(5, height / 2, width - 5, height / 2, "grid")]
    if (chance := benchmark.chance) is not None:
        parts.append(line(scale(chance), 0, scale(chance), height, "reference"))
    shown = amount(estimate[0], benchmark)
    parts += estimate_mark(style, scale, estimate, height / 2, 3.6, shown)
    # Hidden from screen readers: the numbers stand beside it as text.
    return render(width, height, "", *parts, css="figure micro")


def seed_histogram(contrast: Contrast, style: ArmStyle, benchmark: Benchmark) -> Markup:
    """How many seeds have which difference, a row of bars for each reading of the demonstrations,
    under the mean and its interval."""
    noun = "world" if contrast.unit == "worlds" else "seed"
    rows = [(row.difference, row.reading) for row in contrast.per_seed
            if row.difference is not None]  # fmt: skip
    estimate = (contrast.difference, contrast.low, contrast.high)
    values = [0.0, *(value for value, _ in rows), *(v for v in estimate if v is not None)]
    edges = _bins(min(values), max(values), len(rows))
    readings = list(dict.fromkeys(reading for _, reading in rows)) or [""]
    width, top, each = 420, 46, 78
    bottom = top + each * len(readings)
    low, high = edges[0][0], edges[-1][1]
    scale = linear(low, high, 12, width - 12)
    parts = []
    for value in ticks(low, high, 6):
        parts.append(line(scale(value), 20, scale(value), bottom, "grid"))
        shown = _tick(value, benchmark.unit)
        parts.append(text(scale(value), bottom + 14, shown, "tick", "middle"))
    parts.append(line(scale(0), 14, scale(0), bottom, "zero"))
    if contrast.low is not None and contrast.high is not None:
        span = scale(contrast.high) - scale(contrast.low)
        parts.append(
            el("rect", {"x": scale(contrast.low), "y": 20, "width": max(1.0, span),
                        "height": bottom - 20, "class": f"{style.css} wash"})
        )  # fmt: skip
    if contrast.difference is not None:
        title = f"mean {difference_words(contrast.difference, benchmark)}"
        parts += estimate_mark(style, scale, estimate, 31, 7, title)
        x = scale(contrast.difference)
        shown = difference(contrast.difference, benchmark)
        parts.append(text(x, 13, shown, "name strong", "middle"))
    counted = [[sum(r == reading and a <= v < b for v, r in rows) for a, b in edges]
               for reading in readings]  # fmt: skip
    # One height for all readings, so that their bars can be held against each other.
    most = max((n for counts in counted for n in counts), default=1) or 1
    for place, (reading, counts) in enumerate(zip(readings, counted, strict=True)):
        ground = top + each * (place + 1)
        unit = (each - 22) / most
        parts += _bars(counts, edges, scale, ground, unit, style, noun, benchmark)
        if reading:
            parts.append(text(14, ground - each + 14, _short(reading, 40), "tick"))
    measured = "difference in points" if benchmark.unit == "proportion" else "difference"
    return render(width, bottom + 34, f"differences of {len(rows)} {noun}s", *parts,
                  text(width / 2, bottom + 30, f"{measured}; height: number of {noun}s",
                       "tick", "middle"))  # fmt: skip


def _bins(low: float, high: float, n: int) -> list[tuple[float, float]]:
    """Bins of a round width, zero an edge, some square root of n of them."""
    wanted = max(1e-9, (high - low) / max(4.0, min(20.0, 2 * n**0.5)))
    size = next(s for s in (0.01, 0.02, 0.025, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0, 2.0, wanted)
                if s >= wanted)  # fmt: skip
    first, last = floor(low / size), floor(high / size) + 1
    return [(place * size, (place + 1) * size) for place in range(first, last)]


def _bars(
    counts: Sequence[int], edges: Sequence[tuple[float, float]], scale: Scale, base: float,
    unit: float, style: ArmStyle, noun: str, benchmark: Benchmark,
) -> list[ET.Element]:  # fmt: skip
    parts = [line(scale(edges[0][0]), base, scale(edges[-1][1]), base, "grid")]
    for count, (a, b) in zip(counts, edges, strict=True):
        if count:
            left, width, top = scale(a), scale(b) - scale(a), base - unit * count
            title = f"{difference_range(a, b, benchmark)}: {plural(count, noun)}"
            parts.append(
                el("rect", {"x": left + 0.8, "y": top, "width": width - 1.6,
                            "height": unit * count, "class": f"{style.css} seed"},
                   el("title", None, title))
            )  # fmt: skip
            parts.append(text(left + width / 2, top - 3, str(count), "tick", "middle"))
    return parts


def spread(positions: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move labels apart until each has `gap`, within [low, high], order kept."""
    order = sorted(range(len(positions)), key=lambda i: positions[i])
    placed = [0.0] * len(positions)
    previous = low - gap
    for index in order:
        previous = placed[index] = max(positions[index], previous + gap)
    # Back from the bottom: what the first pass pushed out of the frame pushes its neighbours up.
    limit = high + gap
    for index in reversed(order):
        limit = placed[index] = min(placed[index], limit - gap)
    return placed


def _scales(
    series: Sequence[Series], share: bool, ordinal: Sequence[float]
) -> tuple[Scale, Scale, list[float], list[float]]:
    """x scale, y scale, x ticks and y ticks of a chart 420 wide, plot 40..262 by 10..208."""
    points_ = [point for one in series for point in one.data]
    xs = sorted({point[0] for point in points_})
    if ordinal:
        between = 198.0 / max(1, len(ordinal) - 1)
        place = {value: 52.0 + between * i for i, value in enumerate(ordinal)}
        x, x_ticks = place.__getitem__, list(ordinal)
    else:
        x, x_ticks = linear(xs[0], xs[-1], 40, 262), ticks(xs[0], xs[-1], 4)
        if all(float(at).is_integer() for at in xs):  # layers, updates
            x_ticks = [value for value in x_ticks if float(value).is_integer()]
    if share:
        return x, linear(0, 1, 208, 10), x_ticks, [0, 0.25, 0.5, 0.75, 1]
    ys = [value for _, *rest in points_ for value in rest if value is not None]
    # All negative (log-probabilities): zero is the top.
    low, high = min(0.0, *ys), max(0.0, *ys) * 1.02 or (0.0 if min(ys) < 0 else 1.0)
    return x, linear(low, high, 208, 10), x_ticks, ticks(low, high, 4)


def chart(
    series: Sequence[Series],
    label: str,
    x_label: str,
    share: bool,
    ordinal: Sequence[float] = (),
    reference: float | None = None,
) -> Markup:
    """Lines with intervals, each named at its end.

    Args:
        series: the lines; each has at least one point.
        label: what is shown, for screen readers.
        x_label: under the axis.
        share: y is a fraction, 0 to 100 %; otherwise its own range.
        ordinal: x values to space evenly (doses), printed as percentages.
        reference: a dashed horizontal line.
    """
    x, y, x_ticks, y_ticks = _scales(series, share, ordinal)
    parts: list[ET.Element] = []
    for value in y_ticks:
        css = "zero" if value == 0 and y_ticks[0] < 0 else "grid"
        parts.append(line(40, y(value), 262, y(value), css))
        shown = f"{value * 100:.0f}" if share else f"{value:g}"
        parts.append(text(34, y(value) + 4, shown, "tick", "end"))
    for value in x_ticks:
        shown = f"{value * 100:g} %" if ordinal else f"{value:g}"
        parts.append(text(x(value), 224, shown, "tick", "middle"))
    parts.append(text(151, 242, x_label, "tick", "middle"))
    if reference is not None:
        parts.append(line(40, y(reference), 262, y(reference), "reference"))
    ends = spread([y(one.data[-1][1]) for one in series], 14, 12, 206)
    for one, end in zip(series, ends, strict=True):
        css = one.style.css
        path = " ".join(f"{num(x(at))},{num(y(value))}" for at, value, _, _ in one.data)
        drawn = el("g", None, el("polyline", {"points": path, "class": f"{css} path"}))
        if share or any(low is not None for _, _, low, _ in one.data):
            for at, value, low, high in one.data:
                if low is not None and high is not None:
                    drawn.append(line(x(at), y(low), x(at), y(high), f"{css} thin"))
                mark = marker(one.style, x(at), y(value), 3.6)
                shown = percent(value) if share else f"{value:.3f}"
                mark.append(el("title", None, f"{one.label}: {shown}"))
                drawn.append(mark)
        else:  # bare curves (losses) have hundreds of points: one name for the whole line
            drawn.insert(0, el("title", None, one.label))
        last_x, last_y = x(one.data[-1][0]), y(one.data[-1][1])
        parts += [drawn, line(last_x + 5, last_y, 270, end, f"{css} lead")]
        parts += [marker(one.style, 277, end, 4), text(285, end + 4, _short(one.label, 20), "name")]
    return render(420, 248, label, *parts)
