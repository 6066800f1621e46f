"""The item results of a study as columns, and the cells that a report asks for.

A cell is ``split/framing``: ``*`` is all, ``B+C`` several splits, and a framing may be a group of
framings that the study names (``unseen``). Leaves out: comparing arms (assemble.py).
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from whyfirst.config.files import read_jsonl
from whyfirst.report.schema import Cell, UnscoredRow
from whyfirst.stats.scores import Scores
from whyfirst.stats.statistics import Contrast, mean_over_seeds

Mask = npt.NDArray[np.bool_]


@dataclass
class Table:
    """All records of one arm and metric, over its seeds."""

    seeds: list[int] = field(default_factory=list)
    items: list[str] = field(default_factory=list)
    topics: list[str] = field(default_factory=list)
    splits: list[str | None] = field(default_factory=list)
    framings: list[str | None] = field(default_factory=list)
    strata: list[str] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, seed: int, row: Mapping[str, Any]) -> None:
        """Take in one item result; all of them before the first cell is asked for."""
        self.seeds.append(seed)
        self.items.append(row["id"])
        self.topics.append(row.get("topic") or row["id"])
        self.splits.append(row.get("split"))
        self.framings.append(row.get("framing"))
        # A benchmark that groups its items fixes how many topics each split and group has.
        designed = row.get("split") and row.get("group")
        self.strata.append(f"{row['split']}/{row['group']}" if designed else "")
        self.values.append(float("nan") if row.get("score") is None else float(row["score"]))
        if row.get("reason"):
            self.reasons[row["reason"]] += 1

    @cached_property
    def _columns(self) -> "_Columns":
        """The records as arrays, built once: a report asks for some hundred cells."""
        return _Columns(
            Scores(
                np.array(self.seeds), np.array(self.items, dtype=object),
                np.array(self.topics, dtype=object), np.array(self.values),
                np.array(self.strata, dtype=object),
            ),
            *_coded(self.splits), *_coded(self.framings),
        )  # fmt: skip

    def mask(self, cell: str, groups: Mapping[str, Iterable[str]]) -> Mask:
        """Which records a cell holds."""
        split, framing = cell.split("/", 1)
        columns = self._columns
        chosen = np.ones(len(self.items), dtype=np.bool_)
        if split != "*":
            wanted = set(split.split("+"))
            chosen &= np.array([name in wanted for name in columns.splits])[columns.split]
        if framing != "*":
            framings = set(groups.get(framing, (framing,)))
            chosen &= np.array([name in framings for name in columns.framings])[columns.framing]
        return chosen

    def scores(self, cell: str, groups: Mapping[str, Iterable[str]]) -> Scores | None:
        """The records of a cell, or None where it is empty."""
        if not self.items:
            return None
        chosen = np.flatnonzero(self.mask(cell, groups))
        every = (getattr(self._columns.scores, column.name) for column in fields(Scores))
        return Scores(*(column[chosen] for column in every)) if len(chosen) else None


class _Columns(NamedTuple):
    """A table's records; `split` and `framing` (N,) index the distinct names behind them."""

    scores: Scores
    split: npt.NDArray[np.intp]
    splits: list[str | None]
    framing: npt.NDArray[np.intp]
    framings: list[str | None]


def _coded(names: list[str | None]) -> tuple[npt.NDArray[np.intp], list[str | None]]:
    """Each name's place among the distinct names, and those."""
    place = {name: index for index, name in enumerate(dict.fromkeys(names))}
    return np.array([place[name] for name in names], dtype=np.intp), list(place)


def read_tables(files: Iterable[tuple[int, Path]]) -> dict[str, Table]:
    """Metric -> table, from (seed, items.jsonl) pairs of one arm."""
    tables: dict[str, Table] = {}
    for seed, path in files:
        for row in read_jsonl(path):
            tables.setdefault(row["benchmark"], Table()).add(seed, row)
    return tables


def summarise(scores: Scores) -> Cell:
    """The cell's mean over seeds with its interval, and what the unscored could change."""
    values = np.asarray(scores.values, dtype=np.float64)
    missing = np.isnan(values)
    n, unscored = len(values), int(missing.sum())
    total = float(values[~missing].sum())
    known = unscored < n
    interval = mean_over_seeds(scores) if known else None
    names = ("value", "low", "high")
    return Cell(
        **{name: getattr(interval, name) if interval else None for name in names},
        n=n, unscored=unscored, n_seeds=len(set(scores.seeds.tolist())),
        worst=total / n if n else None, best=(total + unscored) / n if n else None,
    )  # fmt: skip


def unscored_row(arm: str, metric: str, table: Table) -> UnscoredRow:
    """What of a table could not be scored, by reason."""
    n, count = len(table.items), sum(table.reasons.values())
    return UnscoredRow(
        arm=arm, benchmark=metric, n=n, unscored=count, rate=count / n,
        reasons=dict(sorted(table.reasons.items())),
    )  # fmt: skip


def measured(found: Contrast) -> dict[str, Any]:
    """What a report's row of a contrast holds of what was computed."""
    names = ("difference", "low", "high", "p", "mde", "n_items", "n_seeds", "unscored", "unit")
    return {name: getattr(found, name) for name in names} | {
        "per_seed": [row._asdict() for row in found.per_seed]
    }


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
