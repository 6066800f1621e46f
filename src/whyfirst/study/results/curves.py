"""A study's curves for the report: loss and headline by update, headline by conflict dose."""

from collections.abc import Iterator
from typing import Any

from whyfirst.config.files import read_jsonl
from whyfirst.report import schema
from whyfirst.study.results.finished import Finished
from whyfirst.study.results.table import summarise


def curves(work: Finished) -> schema.Curves:
    """Loss by update (seed 0), the headline metric by update, and by conflict dose."""
    study = work.study
    headline = next((c for c in study.contrasts if c.name == study.headline), None)
    metric, cell = (headline.metric, headline.cell) if headline else ("", "*/*")
    users: dict[str, list[str]] = {}
    for arm in study.arms:
        for node in work.plan.stages[arm, 0]:
            users.setdefault(node, []).append(arm)
    logs = {node: read_jsonl(work.folders[node] / "log.jsonl") for node in users}
    return schema.Curves(
        loss=[
            schema.LossCurve(
                stage=node.split("/", 1)[1], arms=arms,
                points=[(row["step"], row["loss"]) for row in logs[node] if "loss" in row],
            )
            for node, arms in users.items()
        ],
        checkpoints=list(_checkpoints(work, metric, cell)),
        dose=list(_doses(work, metric, cell)),
    )  # fmt: skip


def _doses(work: Finished, metric: str, cell: str) -> Iterator[schema.DosePoint]:
    """Every point of a curve over the seeds that all of its points have."""
    points = work.study.dose_curve
    for of in dict.fromkeys(point.of for point in points):
        mine = [point for point in points if point.of == of]
        arms = {arm for point in mine for arm in point.arms.values()}
        shared = min(work.study.seeds_of(arm).stop for arm in arms)
        for point in mine:
            for line, arm in point.arms.items():
                scores = work.scores(arm, metric, cell)
                kept = scores.where(scores.seeds < shared) if scores else None
                yield schema.DosePoint(
                    arm=line, of=of, dose=point.dose, benchmark=metric, cell=cell,
                    **_values(summarise(kept) if kept else None),
                )  # fmt: skip


def _checkpoints(work: Finished, metric: str, cell: str) -> Iterator[schema.CheckpointPoint]:
    study, curve = work.study, work.study.curve
    if curve is None:
        return
    for arm in curve.arms:
        last = study.stages[study.arms[arm].stages[-1]].train.updates
        for step in (*curve.at, last):
            at = None if step == last else step
            files = [(seed, path) for seed, path in work.items(arm, at) if seed < curve.seeds]
            table = work.read(files).get(metric)
            scores = table.scores(cell, work.groups) if table else None
            if scores is not None and step is not None:
                yield schema.CheckpointPoint(
                    arm=arm, benchmark=metric, cell=cell, step=step, **_values(summarise(scores)),
                )  # fmt: skip


def _values(cell: schema.Cell | None) -> dict[str, Any]:
    names = ("value", "low", "high", "n_seeds")
    return {
        name: getattr(cell, name) if cell else (0 if name == "n_seeds" else None) for name in names
    }
