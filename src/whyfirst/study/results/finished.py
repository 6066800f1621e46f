"""A plan's finished folders: where its item results are, as tables, and the cells in them.

Leaves out: what a report makes of them (assemble.py, curves.py).
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from whyfirst.report import schema
from whyfirst.study.execute.store import Store
from whyfirst.study.plan import Plan
from whyfirst.study.results.table import read_tables, summarise


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
        self.tables = {arm: read_tables(self.items(arm)) for arm in self.study.arms}

    def items(
        self, arm: str, step: int | None = None, seam: bool = False
    ) -> Iterator[tuple[int, Path]]:
        """(seed, items.jsonl) of an arm's evaluations, after all of its last stage or `step`."""
        for use in self.plan.evaluations:
            if use.arm == arm and use.step == step and use.seam == seam:
                yield use.seed, self.folders[use.node] / "items.jsonl"

    def cell(self, arm: str, metric: str, cell: str) -> schema.Cell | None:
        """One summary, or None where the arm has nothing there."""
        table = self.tables[arm].get(metric)
        scores = table.scores(cell, self.groups) if table else None
        return summarise(scores) if scores else None
