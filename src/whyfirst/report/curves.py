"""The report's curves: training loss, benchmarks over checkpoints, benchmarks over conflict dose.

Leaves out: smoothing; what was logged is what is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence

from whyfirst.report import figures, words
from whyfirst.report.figures import Series
from whyfirst.report.schema import CheckpointPoint, DosePoint, LossCurve, Results
from whyfirst.report.views import NEUTRAL, Panel, Styles


def loss_panels(results: Results, styles: Styles) -> list[Panel]:
    """One panel a stage name, one line for each training run that several arms may share."""
    stages = dict.fromkeys(curve.stage for curve in results.curves.loss)
    panels = []
    for stage in stages:
        curves = [c for c in results.curves.loss if c.stage == stage and c.points]
        series = [_loss_series(results, styles, curve) for curve in curves]
        if series:
            figure = figures.chart(series, f"training loss of {stage}", "updates", share=False)
            panels.append(Panel(_loss_title(stage, curves), figure))
    return panels


def _loss_series(results: Results, styles: Styles, curve: LossCurve) -> Series:
    """A line in the colour of its only arm; neutral where arms share the stage."""
    known = [arm for arm in curve.arms if arm in styles]
    style = styles[known[0]] if len(known) == 1 else NEUTRAL
    label = (known or ["?"])[0] if len(curve.arms) < 2 else _shared(results, curve.arms)
    return Series(label, style.css, style.shape, [(x, y, None, None) for x, y in curve.points])


def _shared(results: Results, arms: Sequence[str]) -> str:
    everyone = {arm for arm, spec in results.arms.items() if spec.stages}
    if everyone <= set(arms):
        return "all arms"
    return f"{len(arms)} arms"


def _loss_title(stage: str, curves: Sequence[LossCurve]) -> str:
    """The stage, and the arms of its one line where they don't stand beside it."""
    shared = len(curves) == 1 and len(curves[0].arms) > 1
    return f"{stage}: {', '.join(curves[0].arms)}" if shared else stage


def checkpoint_panels(results: Results, styles: Styles) -> list[Panel]:
    """One panel for each benchmark and cell measured during the last stage."""
    return _panels(results, styles, results.curves.checkpoints, "updates of the last stage")


def dose_panels(results: Results, styles: Styles) -> list[Panel]:
    """One panel for each benchmark and cell measured with contrary demonstrations."""
    return _panels(results, styles, results.curves.dose, "contrary demonstrations")


def _panels(
    results: Results,
    styles: Styles,
    rows: Sequence[CheckpointPoint] | Sequence[DosePoint],
    x_label: str,
) -> list[Panel]:
    panels = []
    for benchmark, cell in dict.fromkeys((row.benchmark, row.cell) for row in rows):
        mine = [r for r in rows if (r.benchmark, r.cell) == (benchmark, cell)]
        arms: dict[str, list[tuple[float, float, float | None, float | None]]] = {}
        for row in mine:
            if row.value is not None:
                arms.setdefault(row.arm, []).append((_at(row), row.value, row.low, row.high))
        series = [
            Series(arm, styles.get(arm, NEUTRAL).css, styles.get(arm, NEUTRAL).shape, sorted(data))
            for arm, data in arms.items()
        ]
        if not series:
            continue
        doses = sorted({_at(row) for row in mine}) if isinstance(mine[0], DosePoint) else ()
        known = results.benchmarks.get(benchmark)
        title = f"{known.title if known else benchmark}, {words.cell_words(cell)}"
        figure = figures.chart(series, title, x_label, True, doses, known.chance if known else None)
        panels.append(Panel(title, figure))
    return panels


def _at(row: CheckpointPoint | DosePoint) -> float:
    return row.dose if isinstance(row, DosePoint) else float(row.step)
