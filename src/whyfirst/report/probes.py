"""Probes arranged for the page: curves by layer or dose, tables of the rest, links to behaviour.

Which measures are drawn, and under which titles, is a list of their own (`probe_figures.PANELS`).
Leaves out: measuring, and measures that have no place on an axis (they are in results.json).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from whyfirst.report import figures, links, words
from whyfirst.report.figures import Series
from whyfirst.report.palette import ArmStyle
from whyfirst.report.parts import ProbeMeasure, ProbeRow
from whyfirst.report.schema import Results
from whyfirst.report.svg import interval_mark, line, linear, render, text
from whyfirst.report.views import NEUTRAL, Panel, Styles

CURVES = {"layer": "layer", "coefficient": "multiples of the direction"}
TITLES = {
    "logit_difference": "Does it expect bad outcomes where a value is violated?",
    "representation_similarity": "Are violations represented near bad outcomes?",
    "direction": "Is there a direction that says “violates a value”?",
    "intervention": "Does moving along the direction move what it does?",
    "patching": "Do activations carried over bring the behaviour along?",
}


@dataclass(frozen=True)
class Table:
    """A measure by a named place: a row a place, a column an arm."""

    title: str
    arms: list[str]
    rows: list[tuple[str, list[str]]]


@dataclass(frozen=True)
class Link:
    """How an arm's reading goes with its behaviour."""

    arm: str
    where: str
    plot: Markup
    value: str
    interval: str
    n: int
    note: str


@dataclass(frozen=True)
class Section:
    """One probe on the page."""

    name: str
    title: str
    definition: str
    version: str
    cautions: list[str]
    panels: list[Panel]
    tables: list[Table]
    links: list[Link]
    axis: Markup
    others: int


def sections(results: Results, styles: Styles) -> list[Section]:
    """Every probe of the study, in its order."""
    return [_section(probe, styles) for probe in results.probes]


def _section(probe: ProbeRow, styles: Styles) -> Section:
    from whyfirst.report.probe_figures import PANELS

    panels: list[Panel] = []
    tables: list[Table] = []
    used: set[int] = set()
    families = list(dict.fromkeys(str(m.at["family"]) for m in probe.measures if "family" in m.at))
    for name, wanted, axis, title in PANELS.get(probe.probe, []):
        for family in families or [""]:
            must = wanted | ({"family": family} if family else {})
            rows = [m for m in probe.measures if _fits(m, name, must, axis)]
            used.update(id(m) for m in rows)
            whole = words.capital(f"{title}, {family}" if len(families) > 1 else title)
            if axis in CURVES and rows:
                panels.append(Panel(whole, _curve(rows, must, axis, whole, styles)))
            elif rows:
                tables.append(_table(rows, axis, whole))
    linked = [_link(m, styles) for m in probe.behaviour]
    return Section(
        probe.probe, _title(probe.probe), probe.definition, probe.version, _cautions(probe),
        panels, tables, linked, _link_axis(), len(probe.measures) - len(used),
    )  # fmt: skip


def _cautions(probe: ProbeRow) -> list[str]:
    """The probe's own, but for those on links, which are said with every arm they concern."""
    own = [one for one in probe.cautions if " shows the link " not in one]
    found = [links.in_words(link) for link in links.method_links(probe)]
    return own + [text for text in found if text is not None]


@dataclass(frozen=True)
class Summary:
    """One reading of the method, on a line: its link, and which other arms show it."""

    name: str
    title: str
    where: str
    link: str
    shown: str
    without: str


def summary(results: Results) -> list[Summary]:
    """Every reading of the method's arm, for the head of the section."""
    return [
        Summary(
            probe.probe, _title(probe.probe), _where(link.mine), links.said(link.mine),
            "yes" if link.shown else "can't be told from none",
            ", ".join(m.arm for m in link.alike) or ("none" if link.shown else ""),
        )
        for probe in results.probes
        for link in links.method_links(probe)
    ]  # fmt: skip


def _title(name: str) -> str:
    return TITLES.get(name, name.replace("_", " ").capitalize())


def _where(measure: ProbeMeasure) -> str:
    return ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in measure.at.items())


def _fits(measure: ProbeMeasure, name: str, wanted: Mapping[str, str], axis: str) -> bool:
    at = measure.at
    finer = axis != "value" and "value" in at  # broken down further than this panel
    numeric = axis not in CURVES or not isinstance(at.get(axis), str)
    placed = axis in at or axis == "value"  # of all values together
    known = measure.name == name and placed and measure.value is not None
    return known and not finer and numeric and all(at.get(k) == v for k, v in wanted.items())


def _curve(
    rows: Sequence[ProbeMeasure], wanted: Mapping[str, str], axis: str, title: str, styles: Styles
) -> Markup:
    lines: dict[tuple[str, str], list[tuple[float, float, float | None, float | None]]] = {}
    told: dict[tuple[str, str], set[object]] = {}
    for row in rows:
        for key, value in row.at.items():
            told.setdefault((row.arm, key), set()).add(value)
    for row in rows:
        # What is the same in all points of an arm tells none of its lines from another.
        rest = [str(v) for k, v in row.at.items()
                if k not in wanted and k != axis and len(told[row.arm, k]) > 1]  # fmt: skip
        if row.value is not None:
            point = (float(row.at[axis]), row.value, row.low, row.high)
            lines.setdefault((row.arm, " ".join(rest)), []).append(point)
    alone = len({rest for _, rest in lines}) < 2
    series = [
        Series(arm if alone else f"{arm} {rest}", styles.get(arm, NEUTRAL).css,
               styles.get(arm, NEUTRAL).shape, sorted(data, key=lambda point: point[0]))
        for (arm, rest), data in lines.items()
    ]  # fmt: skip
    return figures.chart(series, title, CURVES[axis], share=False)


def _table(rows: Sequence[ProbeMeasure], axis: str, title: str) -> Table:
    arms = list(dict.fromkeys(row.arm for row in rows))
    places = list(dict.fromkeys(str(row.at.get(axis, "all")) for row in rows))
    found = {(str(row.at.get(axis, "all")), row.arm): row for row in rows}
    body = [(place, [_said(found.get((place, arm))) for arm in arms]) for place in places]
    return Table(title, arms, body)


def _said(row: ProbeMeasure | None) -> str:
    return "not measured" if row is None else links.said(row)


_LINK_WIDTH = 240.0


def _link(row: ProbeMeasure, styles: Styles) -> Link:
    scale = linear(-1, 1, 8, _LINK_WIDTH - 8)
    style: ArmStyle = styles.get(row.arm, NEUTRAL)
    parts = [line(scale(v), -40, scale(v), 66, "zero" if v == 0 else "grid")
             for v in (-1.0, -0.5, 0.0, 0.5, 1.0)]  # fmt: skip
    label = f"{row.arm}: {_said(row)}"
    if row.value is not None:
        low = None if row.low is None else scale(row.low)
        high = None if row.high is None else scale(row.high)
        parts.append(interval_mark(style, (scale(row.value), low, high), 13, 5, label))
    plot = render(_LINK_WIDTH, 26, label, *parts, css="figure strip")
    value = "n/a" if row.value is None else links.signed(row.value)
    return Link(row.arm, _where(row), plot, value, links.interval(row), row.n, row.note)


def _link_axis() -> Markup:
    scale = linear(-1, 1, 8, _LINK_WIDTH - 8)
    marks = [text(scale(v), 12, f"{v:g}".replace("-", words.MINUS), "tick", "middle")
             for v in (-0.5, 0.0, 0.5)]  # fmt: skip
    return render(_LINK_WIDTH, 16, "correlation from -1 to 1", *marks, css="figure strip")
