"""The item results of a study as columns, and the cells that a report asks for.

A cell is ``split/framing``: ``*`` is all, ``B+C`` several splits, and a framing may be a group of
framings that the study names (``unseen``). Leaves out: comparing arms (assemble.py).
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import fmean
from sys import intern
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from whyfirst.config.files import read_jsonl
from whyfirst.report.parts import Cell, KindRow
from whyfirst.report.schema import UnscoredRow
from whyfirst.stats.scores import Scores
from whyfirst.stats.statistics import Contrast, mean_over_seeds

Mask = npt.NDArray[np.bool_]


@dataclass
class Table:
    """All records of one arm and metric, over its seeds; `worlds`: each seed is one of its own."""

    seeds: list[int] = field(default_factory=list)
    items: list[str] = field(default_factory=list)
    topics: list[str] = field(default_factory=list)
    splits: list[str | None] = field(default_factory=list)
    framings: list[str | None] = field(default_factory=list)
    strata: list[str] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    worlds: bool = False

    def add(self, seed: int, row: Mapping[str, Any]) -> None:
        """Take in one item result; all of them before the first cell is asked for."""
        # Forty worlds say the same few thousand names: each is kept once.
        self.seeds.append(seed)
        self.items.append(intern(row["id"]))
        self.topics.append(intern(row.get("topic") or row["id"]))
        self.splits.append(row.get("split"))
        self.framings.append(row.get("framing"))
        # A benchmark that groups its items fixes how many topics each split and group has.
        designed = row.get("split") and row.get("group")
        self.strata.append(intern(f"{row['split']}/{row['group']}") if designed else "")
        self.values.append(float("nan") if row.get("score") is None else float(row["score"]))
        if row.get("reason"):
            self.reasons[row["reason"]] += 1

    @cached_property
    def _columns(self) -> "_Columns":
        """The records as arrays, built once: a report asks for some hundred cells."""
        split, framing = _coded(self.splits), _coded(self.framings)
        return _Columns(
            np.array(self.seeds),
            np.array(self.items, dtype=object),
            np.array(self.topics, dtype=object),
            np.array(self.values),
            np.array(self.strata, dtype=object),
            *split,
            *framing,
        )

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
        if not len(chosen):
            return None
        columns = self._columns
        return Scores(
            columns.seeds[chosen],
            columns.items[chosen],
            columns.topics[chosen],
            columns.values[chosen],
            columns.strata[chosen],
            self.worlds,
        )


class _Columns(NamedTuple):
    """A table's records, N each; `split` and `framing` index the distinct names behind them."""

    seeds: npt.NDArray[Any]
    items: npt.NDArray[Any]
    topics: npt.NDArray[Any]
    values: npt.NDArray[Any]
    strata: npt.NDArray[Any]
    split: npt.NDArray[np.intp]
    splits: list[str | None]
    framing: npt.NDArray[np.intp]
    framings: list[str | None]


def _coded(names: list[str | None]) -> tuple[npt.NDArray[np.intp], list[str | None]]:
    """Each name's place among the distinct names, and those."""
    place = {name: index for index, name in enumerate(dict.fromkeys(names))}
    return np.array([place[name] for name in names], dtype=np.intp), list(place)


def read_tables(files: Iterable[tuple[int, Path]], worlds: bool = False) -> dict[str, Table]:
    """Metric -> table, from (seed, items.jsonl) pairs of one arm."""
    tables: dict[str, Table] = {}
    for seed, path in files:
        for row in _rows(path):
            metric = row["benchmark"]
            if metric not in tables:
                tables[metric] = Table(worlds=worlds)
            tables[metric].add(seed, row)
    return tables


def _rows(path: Path) -> list[dict[str, Any]]:
    """A file's rows, all at once: a study of worlds has ten million of them."""
    lines = path.read_bytes().strip().replace(b"\n", b",")
    try:
        rows: list[dict[str, Any]] = json.loads(b"[" + lines + b"]")
    except ValueError:
        return read_jsonl(path)  # which says what is wrong, and where
    return rows


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
        n_seeds=int(np.count_nonzero(np.bincount(scores.seeds))),
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
        "worlds": asdict(found.worlds) if found.worlds else None,
        "by_kind": [_of_kind(kind, part) for kind, part in found.by_kind.items()],
    }


def _of_kind(kind: str, part: Contrast) -> KindRow:
    return KindRow(
        kind=kind, a=fmean(row.a for row in part.per_seed), b=fmean(row.b for row in part.per_seed),
        difference=part.difference, low=part.low, high=part.high, p=part.p, n_items=part.n_items,
        n_seeds=part.n_seeds,
    )  # fmt: skip


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
