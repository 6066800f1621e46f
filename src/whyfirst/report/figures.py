"""The report's figures as inline SVG: arm panels, forest rows, per-seed strips, curves.

Every mark carries its interval and, on hover, its numbers; labels stand beside what they name, so
no figure needs a legend of colours. Leaves out: deciding what is shown (`views.py`).
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor

from markupsafe import Markup

from whyfirst.report.palette import ArmStyle
from whyfirst.report.schema import Contrast
from whyfirst.report.svg import (
    Scale,
    el,
    interval_mark,
    line,
    linear,
    marker,
    num,
    render,
    text,
    ticks,
)
from whyfirst.report.words import percent, plural, points

Estimate = tuple[float | None, float | None, float | None]  # value, low, high


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
    css: str
    shape: str
    data: Sequence[tuple[float, float, float | None, float | None]]


def _x(scale: Scale, value: float | None) -> float | None:
    return None if value is None else scale(value)


def _axis(scale: Scale, values: Sequence[float], top: float, bottom: float) -> list[ET.Element]:
    """Vertical grid lines with their percentages below."""
    parts = []
    for value in values:
        parts.append(line(scale(value), top, scale(value), bottom, "grid"))
        parts.append(text(scale(value), bottom + 13, f"{value * 100:.0f}", "tick", "middle"))
    return parts


def panel(
    rows: Sequence[PanelRow],
    styles: Mapping[str, ArmStyle],
    label: str,
    reference: float | None = None,
    values: bool = False,
) -> Markup:
    """Arms down the side, 0 to 100 % across: main estimate filled, the one beside it hollow.

    Args:
        rows: one an arm, in the study's order.
        styles: of every arm.
        label: what the panel shows, for screen readers.
        reference: a fraction marked with a dashed line, e.g. chance.
        values: print the main value at the right edge.
    """
    two = any(row.beside[0] is not None for row in rows)
    step, left = (30 if two else 22), 142
    right = 60 if values else 12  # room for a marker at 100 % beside its printed value
    width, top = 400, 6
    bottom = top + step * len(rows)
    scale = linear(0, 1, left, width - right)
    bands = [
        el("rect", {"x": 0, "y": top + step * i, "width": width, "height": step, "class": "band"})
        for i in range(0, len(rows), 2)
    ]
    parts = bands + _axis(scale, [0, 0.25, 0.5, 0.75, 1], top, bottom)
    if reference is not None:
        parts.append(line(scale(reference), top, scale(reference), bottom, "reference"))
    for index, row in enumerate(rows):
        middle = top + step * (index + 0.5)
        style = styles[row.arm]
        weight = "name strong" if row.strong else "name"
        # Before the name and not between it and the scale, where it would look like a value.
        parts.append(marker(style, 8, middle, 4.5))
        parts.append(text(18, middle + 4, _short(row.arm), weight))
        y = middle - 4 if two else middle
        _place(parts, style, scale, row.main, y, row.title, hollow=False)
        _place(parts, style, scale, row.beside, middle + 8, row.title, hollow=True)
        if values:
            parts.append(
                text(width - 4, middle + 4, percent(row.main[0], 0), weight + " value", "end")
            )
    return render(width, bottom + 18, label, *parts)


def _place(
    parts: list[ET.Element],
    style: ArmStyle,
    scale: Scale,
    estimate: Estimate,
    y: float,
    title: str,
    hollow: bool,
) -> None:
    value, low, high = estimate
    if value is not None:
        xs = (scale(value), _x(scale, low), _x(scale, high))
        parts.append(interval_mark(style, xs, y, 3.6 if hollow else 5, title, hollow))


def _short(name: str, limit: int = 19) -> str:
    return name if len(name) <= limit else name[: limit - 1] + "…"


def forest_limits(contrasts: Sequence[Contrast]) -> tuple[float, float]:
    """The common scale of forest rows: every interval and zero, rounded outwards to 5 points."""
    values = [0.0]
    for contrast in contrasts:
        values += [v for v in (contrast.low, contrast.high, contrast.difference) if v is not None]
    low, high = min(values), max(values)
    step = 0.05 if high - low < 0.5 else 0.1
    low, high = (low - 0.01) // step * step, -((-high - 0.01) // step) * step
    return (round(low, 6), round(high, 6))


def forest_row(contrast: Contrast, limits: tuple[float, float], style: ArmStyle) -> Markup:
    """One contrast's estimate and interval on the common scale, zero marked."""
    width, height = 300, 26
    scale = linear(*limits, 8, width - 8)
    # Lines reach past the row, which clips them: they meet from row to row at any row height.
    parts = [line(scale(v), -40, scale(v), height + 40, "grid") for v in ticks(*limits, 5)]
    parts.append(line(scale(0), -40, scale(0), height + 40, "zero"))
    label = f"{points(contrast.difference)} points"
    if contrast.difference is not None:
        xs = (scale(contrast.difference), _x(scale, contrast.low), _x(scale, contrast.high))
        parts.append(interval_mark(style, xs, height / 2, 5, label))
    return render(width, height, label, *parts, css="figure strip")


def forest_axis(limits: tuple[float, float], score: bool = False) -> Markup:
    """The scale of forest rows, in points (or in the score's own unit)."""
    width = 300
    scale = linear(*limits, 8, width - 8)
    parts = [
        text(scale(v), 12, f"{v:+.2f}" if score else points(v, 0), "tick", "middle")
        for v in ticks(*limits, 5)
        if 12 < scale(v) < width - 12
    ]
    return render(width, 16, "scale of differences", *parts, css="figure strip")


def bar(estimate: Estimate, style: ArmStyle, reference: float | None = None) -> Markup:
    """A table cell's strip: the estimate with its interval between 0 and 100 %."""
    width, height = 120, 14
    scale = linear(0, 1, 5, width - 5)
    parts = [line(5, height / 2, width - 5, height / 2, "grid")]
    if reference is not None:
        parts.append(line(scale(reference), 0, scale(reference), height, "reference"))
    value, low, high = estimate
    if value is not None:
        xs = (scale(value), _x(scale, low), _x(scale, high))
        parts.append(interval_mark(style, xs, height / 2, 3.6, percent(value)))
    # Hidden from screen readers: the numbers stand beside it as text.
    return render(width, height, "", *parts, css="figure micro")


def seed_histogram(contrast: Contrast, style: ArmStyle) -> Markup:
    """How many seeds have which difference, a row of bars for each reading of the demonstrations,
    under the mean and its interval."""
    rows = [(row.difference, row.reading) for row in contrast.per_seed
            if row.difference is not None]  # fmt: skip
    bounds = [v for v in (contrast.low, contrast.high, contrast.difference) if v is not None]
    values = [0.0, *(value for value, _ in rows), *bounds]
    low, high, edges = _bins(min(values), max(values), len(rows))
    readings = list(dict.fromkeys(reading for _, reading in rows)) or [""]
    width, top, each = 420, 46, 78
    bottom = top + each * len(readings)
    scale = linear(low, high, 12, width - 12)
    parts = []
    for value in ticks(low, high, 6):
        parts.append(line(scale(value), 20, scale(value), bottom, "grid"))
        parts.append(text(scale(value), bottom + 14, points(value, 0), "tick", "middle"))
    parts.append(line(scale(0), 14, scale(0), bottom, "zero"))
    if contrast.low is not None and contrast.high is not None:
        span = scale(contrast.high) - scale(contrast.low)
        parts.append(
            el("rect", {"x": scale(contrast.low), "y": 20, "width": max(1.0, span),
                        "height": bottom - 20, "class": f"{style.css} wash"})
        )  # fmt: skip
    if contrast.difference is not None:
        xs = (scale(contrast.difference), _x(scale, contrast.low), _x(scale, contrast.high))
        parts.append(interval_mark(style, xs, 31, 7, f"mean {points(contrast.difference)} points"))
        parts.append(text(xs[0], 13, points(contrast.difference), "name strong", "middle"))
    counted = [[sum(r == reading and a <= v < b for v, r in rows) for a, b in edges]
               for reading in readings]  # fmt: skip
    most = max((n for counts in counted for n in counts), default=1) or 1
    for place, (reading, counts) in enumerate(zip(readings, counted, strict=True)):
        ground = top + each * (place + 1)
        parts += _bars(counts, edges, scale, ground, (each - 22) / most, style)
        if reading:
            parts.append(text(14, ground - each + 14, _short(reading, 40), "tick"))
    return render(width, bottom + 34, f"differences of {len(rows)} seeds", *parts,
                  text(width / 2, bottom + 30, "difference in points; height: number of seeds",
                       "tick", "middle"))  # fmt: skip


def _bins(low: float, high: float, n: int) -> tuple[float, float, list[tuple[float, float]]]:
    """Limits and bins of a round width, zero an edge, some square root of n of them."""
    wanted = max(1e-9, (high - low) / max(4.0, min(20.0, 2 * n**0.5)))
    size = next(s for s in (0.01, 0.02, 0.025, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0, 2.0, wanted)
                if s >= wanted)  # fmt: skip
    first, last = floor(low / size), floor(high / size) + 1
    edges = [(place * size, (place + 1) * size) for place in range(first, last)]
    return first * size, last * size, edges


def _bars(
    counts: Sequence[int], edges: Sequence[tuple[float, float]], scale: Scale, base: float,
    unit: float, style: ArmStyle,
) -> list[ET.Element]:  # fmt: skip
    parts = [line(scale(edges[0][0]), base, scale(edges[-1][1]), base, "grid")]
    for count, (a, b) in zip(counts, edges, strict=True):
        if count:
            left, width = scale(a), scale(b) - scale(a)
            title = f"{points(a, 1)} to {points(b, 1)}: {plural(count, 'seed')}"
            parts.append(
                el("rect", {"x": left + 0.8, "y": base - unit * count, "width": width - 1.6,
                            "height": unit * count, "class": f"{style.css} seed"},
                   el("title", None, title))
            )  # fmt: skip
            parts.append(
                text(left + width / 2, base - unit * count - 3, str(count), "tick", "middle")
            )
    return parts


def spread(positions: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move labels apart until each has `gap`, within [low, high], order kept."""
    order = sorted(range(len(positions)), key=lambda i: positions[i])
    placed = [0.0] * len(positions)
    previous = low - gap
    for index in order:
        previous = placed[index] = max(positions[index], previous + gap)
    limit = high + gap
    for index in reversed(order):
        limit = placed[index] = min(placed[index], limit - gap)
    return placed


def _scales(
    series: Sequence[Series], share: bool, ordinal: Sequence[float]
) -> tuple[Scale, Scale, list[float], list[float]]:
    """x scale, y scale, x ticks and y ticks of a chart 420 wide, plot 40..262 by 10..208."""
    xs = sorted({point[0] for one in series for point in one.data})
    if ordinal:
        place = {value: 52.0 + 198.0 * i / max(1, len(ordinal) - 1) for i, value in
                 enumerate(ordinal)}  # fmt: skip
        x, x_ticks = place.__getitem__, list(ordinal)
    else:
        x, x_ticks = linear(xs[0], xs[-1], 40, 262), ticks(xs[0], xs[-1], 4)
    if share:
        return x, linear(0, 1, 208, 10), x_ticks, [0, 0.25, 0.5, 0.75, 1]
    ys = [value for one in series for _, *rest in one.data for value in rest if value is not None]
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
    if not ordinal and all(float(at).is_integer() for one in series for at, *_ in one.data):
        x_ticks = [value for value in x_ticks if float(value).is_integer()]  # layers, updates
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
        parts.append(_line_of(one, x, y, share))
        last_x, last_y = x(one.data[-1][0]), y(one.data[-1][1])
        parts.append(line(last_x + 5, last_y, 270, end, f"{one.css} lead"))
        parts.append(marker(ArmStyle(one.css, one.shape), 277, end, 4))
        parts.append(text(285, end + 4, _short(one.label, 20), "name"))
    return render(420, 248, label, *parts)


def _line_of(one: Series, x: Scale, y: Scale, share: bool) -> ET.Element:
    """A series: its line and, but for bare curves (losses), each point's mark with interval."""
    intervals = share or any(low is not None for _, _, low, _ in one.data)
    group = el("g")
    path = " ".join(f"{num(x(at))},{num(y(value))}" for at, value, _, _ in one.data)
    group.append(el("polyline", {"points": path, "class": f"{one.css} path"}))
    if not intervals:
        group.insert(0, el("title", None, one.label))
        return group
    style = ArmStyle(one.css, one.shape)
    for at, value, low, high in one.data:
        if low is not None and high is not None:
            group.append(line(x(at), y(low), x(at), y(high), f"{one.css} thin"))
        mark = marker(style, x(at), y(value), 3.6)
        mark.append(
            el("title", None, f"{one.label}: {percent(value) if share else f'{value:.3f}'}")
        )
        group.append(mark)
    return group
