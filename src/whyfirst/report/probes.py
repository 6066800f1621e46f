"""Probes arranged for the page: curves by layer or dose, tables of the rest, links to behaviour.

Which measures are drawn, and under which titles, is a list of their own (`probe_figures.PANELS`).
Leaves out: measuring, and measures that have no place on an axis (they are in results.json).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from whyfirst.report import figures, links, probe_figures, words
from whyfirst.report.figures import Series
from whyfirst.report.links import MethodLink
from whyfirst.report.parts import ProbeMeasure, ProbeRow
from whyfirst.report.schema import Results
from whyfirst.report.views import NEUTRAL, Panel, Styles

TITLES = {
    "logit_difference": "Does it expect bad outcomes where a value is violated?",
    "representation_similarity": "Are violations represented near bad outcomes?",
    "direction": "Is there a direction that says “violates a value”?",
    "intervention": "Does moving along the direction move what it does?",
    "patching": "Do activations carried over bring the behaviour along?",
}
_LINK_WIDTH = 240
#: correlations' strip
_FROM_TO = (-1.0, 1.0)


@dataclass(frozen=True)
class Table:
    """A measure by a named place: a row a place, a column an arm."""

    title: str
    arms: list[str]
    rows: list[tuple[str, list[str]]]


@dataclass(frozen=True)
class Section:
    """One probe on the page: `links` are readings' correlations with behaviour, each with its plot,
    `readings` those of the method's arm, and `others` counts the numbers that aren't shown."""

    probe: ProbeRow
    title: str
    cautions: list[str]
    readings: list[MethodLink]
    links: list[tuple[ProbeMeasure, Markup]]
    axis: Markup
    panels: list[Panel] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    others: int = 0


def sections(results: Results, styles: Styles) -> list[Section]:
    """Every probe of the study, in its order."""
    return [_section(probe, styles) for probe in results.probes]


def _section(probe: ProbeRow, styles: Styles) -> Section:
    readings = links.method_links(probe)
    # The probe's own cautions on links are replaced by ours, said with every arm they concern.
    cautions = [text for text in probe.cautions if "the link" not in text]
    cautions += map(links.in_words, readings)
    plots = [
        (row, figures.strip((row.value, row.low, row.high), _FROM_TO,
                            styles.get(row.arm, NEUTRAL), f"{row.arm}: {links.said(row)}",
                            _LINK_WIDTH))
        for row in probe.behaviour
    ]  # fmt: skip
    axis = figures.strip_axis(
        _FROM_TO, "correlation from -1 to 1", lambda v: f"{v:g}".replace("-", words.MINUS),
        _LINK_WIDTH,
    )  # fmt: skip
    panels: list[Panel] = []
    tables: list[Table] = []
    shown: set[int] = set()
    for along, title, must, rows in probe_figures.panels(probe):
        shown.update(id(m) for m in rows)
        whole = words.capital(title)
        if along in probe_figures.CURVES:
            panels.append(Panel(whole, _curve(rows, must, along, whole, styles)))
        else:
            tables.append(_table(rows, along, whole))
    heading = TITLES.get(probe.probe, probe.probe.replace("_", " ").capitalize())
    others = len(probe.measures) - len(shown)
    return Section(probe, heading, cautions, readings, plots, axis, panels, tables, others)


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
        Series(arm if alone else f"{arm} {rest}", styles.get(arm, NEUTRAL),
               sorted(data, key=lambda point: point[0]))
        for (arm, rest), data in lines.items()
    ]  # fmt: skip
    return figures.chart(series, title, probe_figures.CURVES[axis], share=False)


def _table(rows: Sequence[ProbeMeasure], axis: str, title: str) -> Table:
    arms = list(dict.fromkeys(row.arm for row in rows))
    cells = {(str(row.at.get(axis, "all")), row.arm): links.said(row) for row in rows}
    places = dict.fromkeys(place for place, _ in cells)
    body = [(p, [cells.get((p, arm), "not measured") for arm in arms]) for p in places]
    return Table(title, arms, body)
