"""SVG building blocks: elements that escape themselves, scales, an arm's colour and marker.

Colours come from CSS classes, so that a figure follows the page into a dark room and onto paper;
nothing here writes a style attribute (the page's policy would block it). They are Okabe and Ito's
(2008), with a darker outline where their fill has less than 3:1 contrast; they live in
`templates/style.css` as classes `c0` to `c8`, one for each arm, with a marker shape beside it for
readers and printers without colour. Leaves out: charts (`figures.py`).
"""

import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import ceil, cos, floor, log10, pi, sin

from markupsafe import Markup

from whyfirst.config.text import safe_text

SHAPES = (
    "circle", "square", "up", "diamond", "down", "plus", "cross", "hexagon", "bar",
)  # fmt: skip

# The arms every study can name keep their colour from study to study.
KNOWN = {
    "base": 0,
    "direct": 1,
    "explain_only": 2,
    "explain_first": 3,
    "explain_other_first": 4,
    "rules_first": 5,
    "shuffled_first": 6,
    "neutral_first": 7,
    "direct_longer": 8,
}


@dataclass(frozen=True)
class ArmStyle:
    """How an arm is drawn: CSS class (colour) and marker shape."""

    css: str
    shape: str


def arm_styles(arms: Iterable[str]) -> dict[str, ArmStyle]:
    """A style for each arm: known names keep theirs, others take free slots in order.

    Past nine arms colours repeat with another shape.
    """
    names = list(dict.fromkeys(arms))
    slots = {name: KNOWN[name] for name in names if name in KNOWN}
    free = [slot for slot in range(len(SHAPES)) if slot not in slots.values()]
    for position, name in enumerate(name for name in names if name not in slots):
        slots[name] = free[position] if position < len(free) else len(SHAPES) + position - len(free)
    return {
        name: ArmStyle(f"c{slot % 9}", SHAPES[(slot + slot // 9) % 9])
        for name, slot in slots.items()
    }


Scale = Callable[[float], float]
Estimate = tuple[float | None, float | None, float | None]  # value, low, high


def num(value: float) -> str:
    """A coordinate with at most one decimal: figures stay small and byte-stable."""
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


def el(
    tag: str, attributes: Mapping[str, str | float] | None = None, *children: ET.Element | str
) -> ET.Element:
    """An SVG element; numbers are rounded, text children are escaped when rendered."""
    node = ET.Element(tag)
    for key, value in (attributes or {}).items():
        node.set(key, safe_text(value) if isinstance(value, str) else num(value))
    for child in children:
        if isinstance(child, str):
            node.text = (node.text or "") + safe_text(child)
        else:
            node.append(child)
    return node


def render(width: float, height: float, label: str, *children: ET.Element, css: str = "") -> Markup:
    """A whole figure as markup; `label` is what a screen reader says."""
    attributes: dict[str, str | float] = {
        "viewBox": f"0 0 {num(width)} {num(height)}", "width": width, "height": height,
        "role": "img", "aria-label": label, "class": css or "figure",
    }  # fmt: skip
    root = el("svg", attributes, *children)
    # Safe: ElementTree escaped every text and attribute above.
    return Markup(ET.tostring(root, encoding="unicode"))


def linear(low: float, high: float, start: float, stop: float) -> Scale:
    """Map [low, high] onto [start, stop], clamped: a mark never leaves its figure."""
    # All values alike: any span puts them on one line.
    span = (high - low) or 1.0

    def scale(value: float) -> float:
        return start + (stop - start) * min(1.0, max(0.0, (value - low) / span))

    return scale


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About `count` round numbers inside [low, high]."""
    if high <= low:
        return [low]
    raw = (high - low) / count
    power = 10.0 ** floor(log10(raw))
    # 1, 2 or 5 times a power of ten: numbers that one reads without thinking.
    step = next((m * power for m in (1, 2, 5, 10) if m * power >= raw * 0.999), 10 * power)
    first = ceil(low / step - 1e-9)
    last = floor(high / step + 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def line(x1: float, y1: float, x2: float, y2: float, css: str) -> ET.Element:
    """A straight line of a CSS class."""
    return el("line", {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "class": css})


def text(x: float, y: float, content: str, css: str = "", anchor: str = "start") -> ET.Element:
    """A text of a CSS class, `anchor` start, middle or end."""
    attributes: dict[str, str | float] = {"x": x, "y": y}
    if css:
        attributes["class"] = css
    if anchor != "start":
        attributes["text-anchor"] = anchor
    return el("text", attributes, content)


#: marker -> its corners, in radii from its centre
_CORNERS: dict[str, list[tuple[float, float]]] = {
    "diamond": [(0, -1.25), (1.25, 0), (0, 1.25), (-1.25, 0)],
    "up": [(0, -1.15), (1.15, 0.92), (-1.15, 0.92)],
    "down": [(0, 1.15), (1.15, -0.92), (-1.15, -0.92)],
    "plus": [
        (-0.42, -1.15), (0.42, -1.15), (0.42, -0.42), (1.15, -0.42), (1.15, 0.42), (0.42, 0.42),
        (0.42, 1.15), (-0.42, 1.15), (-0.42, 0.42), (-1.15, 0.42), (-1.15, -0.42), (-0.42, -0.42),
    ],
    "cross": [
        (-1.05, -0.5), (-0.5, -1.05), (0, -0.55), (0.5, -1.05), (1.05, -0.5), (0.55, 0),
        (1.05, 0.5), (0.5, 1.05), (0, 0.55), (-0.5, 1.05), (-1.05, 0.5), (-0.55, 0),
    ],
    "hexagon": [(1.1 * sin(pi * k / 3), 1.1 * cos(pi * k / 3)) for k in range(6)],
    "square": [(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
    "bar": [(-0.5, -1.2), (0.5, -1.2), (0.5, 1.2), (-0.5, 1.2)],
}  # fmt: skip


def marker(style: ArmStyle, x: float, y: float, radius: float, hollow: bool = False) -> ET.Element:
    """The arm's marker centred on (x, y)."""
    if style.shape == "circle":
        shape = el("circle", {"cx": x, "cy": y, "r": radius})
    else:
        places = ((x + radius * dx, y + radius * dy) for dx, dy in _CORNERS[style.shape])
        shape = el("polygon", {"points": " ".join(f"{num(a)},{num(b)}" for a, b in places)})
    shape.set("class", f"{style.css} {'hollow' if hollow else 'mark'}")
    return shape


def estimate_mark(
    style: ArmStyle,
    scale: Scale,
    estimate: Estimate,
    y: float,
    radius: float,
    title: str,
    hollow: bool = False,
) -> list[ET.Element]:
    """A marker with its interval, hover shows `title`; nothing where there is no value."""
    value, low, high = estimate
    if value is None:
        return []
    group = el("g", None, el("title", None, title))
    if low is not None and high is not None:
        css = f"{style.css} {'thin' if hollow else 'bar'}"
        group.append(line(scale(low), y, scale(high), y, css))
    group.append(marker(style, scale(value), y, radius, hollow))
    return [group]
