"""The report's curves: training loss, benchmarks over checkpoints, benchmarks over conflict dose.

Leaves out: smoothing; what was logged is what is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence

from whyfirst.report import figures, words
from whyfirst.report.figures import Series
from whyfirst.report.schema import CheckpointPoint, DosePoint, Results
from whyfirst.report.views import NEUTRAL, Panel, Styles


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
        panels.append(Panel(title, figures.chart(series, title, x_label, True, doses, chance)))
    return panels


def _at(point: CheckpointPoint | DosePoint) -> float:
    return point.dose if isinstance(point, DosePoint) else float(point.step)
