"""A plan's finished folders: where its item results are, as tables, and the cells in them.

Leaves out: what a report makes of them (assemble.py, curves.py).
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from whyfirst.report import schema
from whyfirst.stats.scores import Scores
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
        self.tables = {arm: self.read(self.items(arm)) for arm in self.study.arms}

    def read(self, files: Iterable[tuple[int, Path]]) -> dict[str, Table]:
        """Metric -> table, of (seed, items.jsonl) pairs of one arm."""
        return read_tables(files, worlds=self.study.drawn)

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
