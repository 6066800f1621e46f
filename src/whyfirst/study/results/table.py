"""The item results of a study as columns, and the cells that a report asks for.

A cell is ``split/framing``: ``*`` is all, ``B+C`` several splits, and a framing may be a group of
framings that the study names (``unseen``). Leaves out: comparing arms (assemble.py).
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt

from whyfirst.config.bounded import open_file
from whyfirst.config.files import read_jsonl
from whyfirst.report.parts import Cell, KindRow
from whyfirst.report.schema import UnscoredRow
from whyfirst.stats.scores import Columns, Scores
from whyfirst.stats.statistics import Contrast, mean_over_seeds

Mask = npt.NDArray[np.bool_]


@dataclass
class Table(Columns):
    """All records of one arm and metric, over its seeds."""

    splits: list[str | None] = field(default_factory=list)
    framings: list[str | None] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, seed: int, row: Mapping[str, Any]) -> None:
        """Take in one item result; all of them before the first cell is asked for."""
        super().add(seed, row)
        self.splits.append(row.get("split"))
        self.framings.append(row.get("framing"))
        if row.get("reason"):
            self.reasons[row["reason"]] += 1

    @cached_property
    def _coded(self) -> list[tuple[npt.NDArray[np.intp], list[str | None]]]:
        """Each record's split by its place among the distinct ones, with those; and its framing."""
        coded = []
        for names in (self.splits, self.framings):
            place = {name: index for index, name in enumerate(dict.fromkeys(names))}
            coded.append((np.array([place[name] for name in names], dtype=np.intp), list(place)))
        return coded

    def mask(self, cell: str, groups: Mapping[str, Iterable[str]]) -> Mask:
        """Which records a cell holds."""
        split, framing = cell.split("/", 1)
        wanted = (set(split.split("+")), set(groups.get(framing, (framing,))))
        chosen = np.ones(len(self.items), dtype=np.bool_)
        for part, of, (place, names) in zip((split, framing), wanted, self._coded, strict=True):
            if part != "*":
                chosen &= np.array([name in of for name in names])[place]
        return chosen

    def scores(self, cell: str, groups: Mapping[str, Iterable[str]]) -> Scores | None:
        """The records of a cell, or None where it is empty."""
        chosen = self.mask(cell, groups)
        return self.whole.where(chosen) if chosen.any() else None


def read_tables(
    files: Iterable[tuple[int, Path]], worlds: bool = False, lone: bool = False
) -> dict[str, Table]:
    """Metric -> table, from (seed, items.jsonl) pairs of one arm."""
    tables: defaultdict[str, Table] = defaultdict(lambda: Table(worlds=worlds, lone=lone))
    for seed, path in files:
        # A file's rows all at once: a study of worlds has ten million of them.
        with open_file(path) as file:
            lines = file.read().strip().replace(b"\n", b",")
        try:
            rows: list[dict[str, Any]] = json.loads(b"[" + lines + b"]")
        except ValueError:
            rows = read_jsonl(path)  # which says what is wrong, and where
        for row in rows:
            tables[row["benchmark"]].add(seed, row)
    return dict(tables)


def summarise(scores: Scores) -> Cell:
    """The cell's mean over seeds with its interval, and what the unscored could change."""
    values = np.asarray(scores.values, dtype=np.float64)
    missing = np.isnan(values)
    n, unscored = len(values), int(missing.sum())
    total = float(values[~missing].sum())
    known = unscored < n
    interval = mean_over_seeds(scores) if known else None
    return Cell(
        value=interval.value if interval else None,
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        n=n,
        unscored=unscored,
        n_seeds=len(np.unique(scores.seeds[~missing])),
        worst=total / n if n else None,
        best=(total + unscored) / n if n else None,
    )


def unscored_row(arm: str, metric: str, table: Table) -> UnscoredRow:
    """What of a table could not be scored, by reason."""
    n, count = len(table.items), sum(table.reasons.values())
    return UnscoredRow(
        arm=arm, benchmark=metric, n=n, unscored=count, rate=count / n,
        reasons=dict(sorted(table.reasons.items())),
    )  # fmt: skip


def measured(found: Contrast) -> dict[str, Any]:
    """What a report's row of a contrast holds of what was computed."""
    names = ("difference", "low", "high", "p", "mde", "n_items", "n_seeds", "unscored", "unit",
             "exact_p")  # fmt: skip
    return {name: getattr(found, name) for name in names} | {
        "per_seed": [row._asdict() for row in found.per_seed],
        "dropped": list(found.dropped),
        "worlds": found.worlds,
        "by_kind": [
            KindRow(
                kind=kind, a=fmean(s.a for s in k.per_seed), b=fmean(s.b for s in k.per_seed),
                difference=k.difference, low=k.low, high=k.high, p=k.p, n_items=k.n_items,
                n_seeds=k.n_seeds,
            )
            for kind, k in found.by_kind.items()
        ],
    }  # fmt: skip


def cell_names(
    tables: Mapping[str, Table], groups: Mapping[str, Iterable[str]], asked: Iterable[str]
) -> list[str]:
    """Every cell a report shows: each split by each framing and group, and those asked for."""
    present = list(tables.values())
    splits = sorted({name for table in present for name in table.splits if name})
    framings = sorted({name for table in present for name in table.framings if name})
    pooled = sorted({cell.split("/", 1)[0] for cell in asked} - {"*", *splits})
    columns = ["*", *framings, *groups]
    names = [f"{split}/{column}" for split in ("*", *splits, *pooled) for column in columns]
    return list(dict.fromkeys([*names, *asked]))


def cells(
    table: Table, names: Iterable[str], groups: Mapping[str, Iterable[str]]
) -> Iterator[tuple[str, Cell]]:
    """The non-empty cells of one table."""
    for name in names:
        scores = table.scores(name, groups)
        if scores is not None:
            yield name, summarise(scores)
