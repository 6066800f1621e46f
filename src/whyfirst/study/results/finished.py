"""A plan's finished folders, read: tables of its items, curves by update and dose, examples.

Leaves out: contrasts (contrasts.py), and the report as a whole (assemble.py).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from math import gcd
from pathlib import Path
from typing import Any

from whyfirst.config.files import read_jsonl
from whyfirst.evaluate.benchmark import benchmark_named
from whyfirst.report import parts, schema
from whyfirst.stats.scores import Scores
from whyfirst.study.config import Study
from whyfirst.study.execute.store import Store
from whyfirst.study.plan import Plan
from whyfirst.study.results.table import Table, read_tables, summarise


class Finished:
    """A plan's finished folders, read.

    Args:
        plan: the study's plan, all nodes complete.
        store: where they are.
    """

    def __init__(self, plan: Plan, store: Store) -> None:
        self.plan, self.study = plan, plan.study
        self.folders = {node.id: store.folder(*node.key) for node in plan.nodes}
        self.groups: Mapping[str, tuple[str, ...]] = self.study.cells
        self.tables = {
            arm: self.read(self.items(arm), self.study.lone(arm)) for arm in self.study.arms
        }

    def read(self, files: Iterable[tuple[int, Path]], lone: bool = False) -> dict[str, Table]:
        """Metric -> table, of (seed, items.jsonl) pairs of one arm."""
        return read_tables(files, worlds=self.study.drawn, lone=lone)

    def items(
        self, arm: str, step: int | None = None, seam: bool = False
    ) -> Iterator[tuple[int, Path]]:
        """(seed, items.jsonl) of an arm's evaluations, after all of its last stage or `step`."""
        for use in self.plan.evaluations:
            if use.arm == arm and use.step == step and use.seam == seam:
                yield use.seed, self.folders[use.node] / "items.jsonl"

    def scores(self, arm: str, metric: str, cell: str) -> Scores | None:
        """An arm's scores on a cell, or None where it has nothing there."""
        table = self.tables[arm].get(metric)
        return table.scores(cell, self.groups) if table else None

    def cell(self, arm: str, metric: str, cell: str) -> schema.Cell | None:
        """Their summary."""
        scores = self.scores(arm, metric, cell)
        return summarise(scores) if scores else None


def curves(work: Finished) -> parts.Curves:
    """Loss by update (seed 0), the headline metric by update, and by conflict dose."""
    study = work.study
    headline = next((c for c in study.contrasts if c.name == study.headline), None)
    metric, cell = (headline.metric, headline.cell) if headline else ("", "*/*")
    users: dict[str, list[str]] = {}
    for arm in study.arms:
        for node in work.plan.stages[arm, 0]:
            users.setdefault(node, []).append(arm)
    logs = {node: read_jsonl(work.folders[node] / "log.jsonl") for node in users}
    return parts.Curves(
        loss=[
            parts.LossCurve(
                stage=node.split("/", 1)[1], arms=arms,
                points=[(row["step"], row["loss"]) for row in logs[node] if "loss" in row],
            )
            for node, arms in users.items()
        ],
        checkpoints=list(_checkpoints(work, metric, cell)),
        dose=list(_doses(work, metric, cell)),
    )  # fmt: skip


def _doses(work: Finished, metric: str, cell: str) -> Iterator[parts.DosePoint]:
    """Every point of a curve over the seeds that all of its points have."""
    points = work.study.dose_curve
    for of in dict.fromkeys(point.of for point in points):
        mine = [point for point in points if point.of == of]
        arms = {arm for point in mine for arm in point.arms.values()}
        shared = work.study.shared_seeds(arms).stop
        for point in mine:
            for line, arm in point.arms.items():
                scores = work.scores(arm, metric, cell)
                kept = scores.where(scores.seeds < shared) if scores else None
                yield parts.DosePoint(
                    arm=line, of=of, dose=point.dose, benchmark=metric, cell=cell,
                    **_values(summarise(kept) if kept else None),
                )  # fmt: skip


def _checkpoints(work: Finished, metric: str, cell: str) -> Iterator[parts.CheckpointPoint]:
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
                yield parts.CheckpointPoint(
                    arm=arm, benchmark=metric, cell=cell, step=step, **_values(summarise(scores)),
                )  # fmt: skip


def _values(cell: schema.Cell | None) -> dict[str, Any]:
    names = ("value", "low", "high", "n_seeds")
    return {
        name: getattr(cell, name) if cell else (0 if name == "n_seeds" else None) for name in names
    }


EXAMPLES = 24
# Arm -> (seed, items.jsonl) of its evaluations.
Items = Callable[[str], Iterator[tuple[int, Path]]]


def examples(study: Study, items: Items) -> list[schema.Example]:
    """Prompts of seed 0 with every arm's answer, spread over metrics, splits and framings."""
    named = [benchmark_named(name) for name in study.benchmarks]
    wants = {m.name: m.wants for b in named for m in b.metrics if m.wants}
    if not wants:
        return []
    answers: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
    for arm in study.arms:
        for _, path in (item for item in items(arm) if item[0] == 0):
            for row in read_jsonl(path):
                if row.get("prompt") and row["benchmark"] in wants:
                    answers.setdefault((row["benchmark"], row["id"]), {})[arm] = row
    kinds: dict[tuple[str, ...], list[dict[str, Mapping[str, Any]]]] = {}
    for (metric, item), by_arm in sorted(answers.items()):
        one = answers[metric, item][min(by_arm)]
        key = (metric, str(one.get("split")), str(one.get("group")))
        kinds.setdefault(key, []).append(by_arm)
    chosen: list[dict[str, Mapping[str, Any]]] = []
    for turn in range(EXAMPLES):
        for alike in kinds.values():
            # A stride through them, so that framings vary, that meets each one once.
            stride = next(step for step in (7, 5, 3, 1) if gcd(step, len(alike)) == 1)
            if turn < len(alike) and len(chosen) < EXAMPLES:
                chosen.append(alike[(turn * stride) % len(alike)])
    found = []
    for by_arm in chosen:
        asked = by_arm[next(iter(by_arm))]
        same = ("prompt", "split", "framing", "group", "benchmark")
        responses = {
            arm: {"text": answer.get("response", ""), "verdict": answer["verdict"]}
            for arm, answer in by_arm.items()
        }
        found.append(schema.Example.model_validate(
            {name: asked.get(name) for name in same}
            | {"wants": wants[asked["benchmark"]], "offensive": bool(asked.get("offensive")),
               "responses": responses}
        ))  # fmt: skip
    return found
