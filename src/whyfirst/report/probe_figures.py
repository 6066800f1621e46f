"""A probe as SVG: a panel for each thing measured, a row for each layer or dose, with intervals.

Leaves out: what the page shows of it (`probes`), and measures that have no place on an axis.
"""

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files

from whyfirst.probe.record import ProbeResult
from whyfirst.report.parts import ProbeMeasure, ProbeRow
from whyfirst.report.svg import (
    arm_styles,
    el,
    estimate_mark,
    line,
    linear,
    marker,
    render,
    text,
    ticks,
)

#: probe -> (measure, what `at` must say, its axis, title); the first that matches is drawn
PANELS: dict[str, list[tuple[str, dict[str, str], str, str]]] = {
    "logit_difference": [
        ("violation", {}, "value", "log-odds of bad outcomes, violating less upholding (nats)"),
        ("control", {}, "value", "the same for another upholding statement (nats)"),
        ("stronger", {}, "value", "log-odds of violations, less those in the direct arm (nats)"),
    ],
    "representation_similarity": [
        ("association", {}, "layer", "closer to bad outcomes (cosine)"),
        ("control", {}, "layer", "the same for another upholding statement"),
        ("shift", {}, "layer", "moved from the base (1 - CKA)"),
        ("seed_shift", {}, "layer", "two seeds apart (1 - CKA)"),
    ],
    "direction": [
        ("auroc", {"method": "difference_in_means"}, "layer", "AUROC on values left out"),
        ("shuffled", {"method": "difference_in_means"}, "layer", "with shuffled labels"),
        ("framing", {}, "framing", "AUROC of harmful against benign requests"),
    ],
    "intervention": [
        ("harmful_refused", {"direction": "violation"}, "coefficient", "harmful refused"),
        ("benign_helped", {"direction": "violation"}, "coefficient", "benign helped"),
        ("harmful_refused", {"direction": "random"}, "coefficient", "harmful refused, random"),
    ],
    "patching": [
        ("margin_shift", {"positions": "last"}, "layer", "shift, last position (nats)"),
        ("margin_shift", {"positions": "all"}, "layer", "shift, all positions (nats)"),
    ],
}  # fmt: skip

#: axes whose places are numbers, in words
CURVES = {"layer": "layer", "coefficient": "multiples of the direction"}
#: measures between 0 and 1, and what chance gives
SHARES = {
    "auroc": 0.5, "shuffled": 0.5, "framing": 0.5, "harmful_refused": None, "benign_helped": None,
}  # fmt: skip

_LEFT, _WIDTH, _STEP, _HEAD = 130.0, 420.0, 15.0, 40.0


def panels(
    probe: ProbeRow,
) -> Iterator[tuple[str, str, Mapping[str, str], list[ProbeMeasure]]]:
    """(axis, title, what all of it says, its measures) of every panel that has any."""
    # Pairs of statements come in families, whose numbers are never averaged.
    named = (str(m.at["family"]) for m in probe.measures if "family" in m.at)
    families = list(dict.fromkeys(named)) or [""]
    for name, wanted, axis, title in PANELS.get(probe.probe, []):
        for family in families:
            must = wanted | ({"family": family} if family else {})
            rows = [m for m in probe.measures if m.name == name and _fits(m, must, axis)]
            if rows:
                yield axis, f"{title}, {family}" if len(families) > 1 else title, must, rows


def _fits(measure: ProbeMeasure, wanted: Mapping[str, str], axis: str) -> bool:
    """Whether a measure has a place on a panel's axis."""
    at = measure.at
    finer = axis != "value" and "value" in at  # broken down further than this panel
    numeric = axis not in CURVES or not isinstance(at.get(axis), str)
    placed = axis in at or axis == "value"  # of all values together
    known = placed and measure.value is not None
    return known and not finer and numeric and all(at.get(k) == v for k, v in wanted.items())


def figure(result: ProbeResult) -> str | None:
    """A standalone SVG document, or None for a probe without panels or without numbers."""
    probe = ProbeRow.model_validate(result.to_json())
    arms = list(dict.fromkeys(measure.arm for measure in probe.measures))
    parts: list[ET.Element] = []
    y = 26.0 + _legend(parts, arms)
    for axis, title, _, measures in panels(probe):
        rows: dict[str | float, list[ProbeMeasure]] = {}
        for measure in measures:
            rows.setdefault(measure.at.get(axis, "all"), []).append(measure)
        y += _panel(parts, arms, rows, axis, title, y)
    if len(parts) <= 2 * len(arms):
        return None
    back = el("rect", {"x": 0, "y": 0, "width": _WIDTH, "height": y + 6, "class": "paper"})
    # A document of its own has the report's style sheet inside.
    style = (files("whyfirst.report") / "templates" / "style.css").read_text(encoding="utf-8")
    css = el("style", None, f"{style}\n.paper {{ fill: var(--bg); }}")
    drawn = render(_WIDTH, y + 6, f"{result.probe}: {result.definition}", css, back, *parts)
    return str(drawn).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1) + "\n"


def _legend(parts: list[ET.Element], arms: Sequence[str]) -> float:
    """Names and marks of the arms; returns the height it took."""
    styles = arm_styles(arms)
    x, y = 12.0, 16.0
    for arm in arms:
        width = 26.0 + 7.0 * len(arm)
        if x + width > _WIDTH and x > 12.0:
            x, y = 12.0, y + 18.0
        parts.append(marker(styles[arm], x, y - 4, 4.5))
        parts.append(text(x + 10, y, arm, "name"))
        x += width
    return y


def _panel(
    parts: list[ET.Element],
    arms: Sequence[str],
    rows: dict[str | float, list[ProbeMeasure]],
    axis: str,
    title: str,
    top: float,
) -> float:
    """Draw one panel below `top`; returns its height."""
    styles = arm_styles(arms)
    numbers = [
        number
        for measures in rows.values()
        for m in measures
        for number in (m.value, m.low, m.high)
        if number is not None
    ]
    name = next(iter(rows.values()))[0].name
    low, high = (0.0, 1.0) if name in SHARES else (min(0.0, *numbers), max(0.0, *numbers))
    scale = linear(low, high, _LEFT, _WIDTH - 14)
    start = top + _HEAD
    height = sum(_STEP * (len(measures) + 0.8) for measures in rows.values())
    parts.append(text(12, top + 22, title, "name strong"))
    for value in ticks(low, high, 4):
        css = "zero" if value == 0 else "grid"
        parts.append(line(scale(value), start, scale(value), start + height, css))
        parts.append(text(scale(value), start + height + 13, f"{value:g}", "tick", "middle"))
    chance = SHARES.get(name)
    if chance is not None:
        parts.append(line(scale(chance), start, scale(chance), start + height, "reference"))
    y = start
    for place, measures in rows.items():
        label = f"{axis} {place:g}" if not isinstance(place, str) else place.replace("*", "all")
        parts.append(text(_LEFT - 12, y + _STEP * (len(measures) / 2 + 0.6), label, "name", "end"))
        y += _STEP * 0.4
        for m in measures:
            shown = f"{m.arm}, {label}: {m.value:.3f}"
            if m.low is not None and m.high is not None:
                shown += f" ({m.low:.3f} to {m.high:.3f})"
            estimate = (m.value, m.low, m.high)
            parts += estimate_mark(styles[m.arm], scale, estimate, y + _STEP / 2, 4, shown)
            y += _STEP
        y += _STEP * 0.4
    return _HEAD + height + 24
