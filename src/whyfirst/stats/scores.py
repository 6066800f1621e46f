"""One arm's scores on one benchmark, in long form, and how arms are laid side by side.

A score is a fraction in [0, 1] (a verdict is 0 or 1) or nan for unscored. `paired` lines several
arms up by seed and item. Left out: which arms to compare, and every statistic.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from sys import intern
from typing import Any

import numpy as np
import numpy.typing as npt

from whyfirst.config.errors import DataError

Floats = npt.NDArray[np.float64]
Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Grid:
    """Scores as a matrix: `values` (S, I) with nan where unscored or absent, `present` (S, I)."""

    seeds: tuple[int, ...]
    items: tuple[str, ...]
    topics: tuple[str, ...]
    strata: tuple[str, ...]
    values: Floats
    present: npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Scores:
    """Long-form scores: four arrays of one length N, in any order.

    `seeds` holds whole numbers, `items` and `topics` names (an item has one topic; without topics
    pass the items), `values` fractions in [0, 1] or nan for unscored. `strata` names each item's
    stratum where the design fixes how many topics each has; None is one stratum. `worlds` says that
    every seed is a world with topics of its own, whatever they are called; `lone` that they are of
    one model, which has a single seed and stands beside every seed of others. Raises DataError for
    unequal lengths, a value outside [0, 1], an item scored twice in a seed, or one with two topics.
    """

    seeds: Array
    items: Array
    topics: Array
    values: Array
    strata: Array | None = None
    worlds: bool = False
    lone: bool = False

    def __post_init__(self) -> None:
        shapes = {np.shape(column) for column in (self.seeds, self.items, self.topics, self.values)}
        if len(shapes) != 1 or len(next(iter(shapes))) != 1:
            raise DataError(
                "scores: seeds, items, topics and values must be flat arrays of one length"
            )
        values = np.asarray(self.values, dtype=np.float64)
        bad = np.flatnonzero(~(np.isnan(values) | ((values >= 0.0) & (values <= 1.0))))
        if bad.size:
            raise DataError(
                f"scores: row {bad[0]} (item {self.items[bad[0]]!s}) has value {values[bad[0]]}; "
                "a score is between 0 and 1, or nan for unscored"
            )

    @classmethod
    def from_rows(cls, rows: Iterable[tuple[int, str, str, float | None]]) -> "Scores":
        """Build scores from (seed, item, topic, value) rows; a value of None is unscored."""
        table = list(rows)
        return cls(
            np.array([row[0] for row in table], dtype=np.int64),
            np.array([row[1] for row in table], dtype=object),
            np.array([row[2] for row in table], dtype=object),
            np.array([np.nan if row[3] is None else row[3] for row in table], dtype=np.float64),
        )

    def where(self, chosen: npt.NDArray[np.bool_]) -> "Scores":
        """Some of the scores: (N,)."""
        return Scores(
            self.seeds[chosen], self.items[chosen], self.topics[chosen], self.values[chosen],
            None if self.strata is None else self.strata[chosen], self.worlds, self.lone,
        )  # fmt: skip

    @cached_property
    def grid(self) -> Grid:
        """The scores as a matrix, seeds and items sorted: row order never changes a result."""
        seed_codes, seeds = _codes(self.seeds)
        item_codes, items = _codes(self.items)
        topic_codes, topics = _codes(self.topics)
        count = np.zeros((len(seeds), len(items)), dtype=np.int64)
        np.add.at(count, (seed_codes, item_codes), 1)
        if count.size and count.max() > 1:
            seed, item = np.argwhere(count > 1)[0]
            raise DataError(f"scores: item {items[item]} is scored twice in seed {seeds[seed]}")
        topic_of = np.full(len(items), -1)
        topic_of[item_codes] = topic_codes
        clash = np.flatnonzero(topic_of[item_codes] != topic_codes)
        if clash.size:
            raise DataError(
                f"scores: item {self.items[clash[0]]!s} has two topics; it may have one"
            )
        stratum_of = np.full(len(items), "", dtype=object)
        if self.strata is not None:
            stratum_of[item_codes] = self.strata
        values = np.full(count.shape, np.nan)
        values[seed_codes, item_codes] = np.asarray(self.values, dtype=np.float64)
        return Grid(
            tuple(int(seed) for seed in seeds),
            tuple(str(item) for item in items),
            tuple(str(topics[code]) for code in topic_of),
            tuple(str(name) for name in stratum_of),
            values,
            count > 0,
        )


@dataclass
class Columns:
    """Item results as columns, added one by one; `worlds` and `lone` as in `Scores`."""

    seeds: list[int] = field(default_factory=list)
    items: list[str] = field(default_factory=list)
    topics: list[str] = field(default_factory=list)
    strata: list[str] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    worlds: bool = False
    lone: bool = False

    def add(self, seed: int, row: Mapping[str, Any]) -> None:
        """Take in one item result's id, topic, split, group and score; all before `whole`."""
        # Forty worlds say the same few thousand names: each is kept once.
        self.seeds.append(seed)
        self.items.append(intern(row["id"]))
        self.topics.append(intern(row.get("topic") or row["id"]))
        # A benchmark that groups its items fixes how many topics each split and group has.
        designed = row.get("split") and row.get("group")
        self.strata.append(intern(f"{row['split']}/{row['group']}") if designed else "")
        self.values.append(float("nan") if row.get("score") is None else float(row["score"]))

    @cached_property
    def whole(self) -> Scores:
        """All of them as arrays, built once: a report asks for some hundred cells."""
        items, topics, strata = (
            np.array(names, dtype=object) for names in (self.items, self.topics, self.strata)
        )
        return Scores(
            np.array(self.seeds), items, topics, np.array(self.values), strata,
            self.worlds, self.lone,
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Paired:
    """Several arms over their common seeds and all their items.

    `values` and `present` are (A, S, I); an item that an arm lacks is not present there. `items`
    names them; `worlds` as in `Scores`.
    """

    seeds: tuple[int, ...]
    topics: Array
    values: Floats
    present: npt.NDArray[np.bool_]
    strata: Array
    items: tuple[str, ...] = ()
    worlds: bool = False

    @property
    def comparable(self) -> bool:
        """Whether any item is scored in every arm of one seed."""
        return bool(np.isfinite(self.values).all(axis=0).any())


def shared_seeds(arms: Sequence[Scores]) -> set[int]:
    """The seeds at which all arms have scores; a lone model limits none, and several are one."""
    several = [set(arm.grid.seeds) for arm in arms if not arm.lone] or [{arms[0].grid.seeds[0]}]
    return set.intersection(*several)


def paired(arms: Sequence[Scores], name: str) -> Paired:
    """Line arms up by seed and item; the scores of a lone model stand beside every seed.

    Raises DataError where the arms share no seed, or give one item different topics.
    """
    grids = [arm.grid for arm in arms]
    common = shared_seeds(arms)
    if not common:
        raise DataError(f"contrast {name}: the arms have no seed in common, so no pairs")
    topic_of: dict[str, str] = {}
    stratum_of: dict[str, str] = {}
    for grid in grids:
        stratum_of |= dict(zip(grid.items, grid.strata, strict=True))
        for item, topic in zip(grid.items, grid.topics, strict=True):
            if topic_of.setdefault(item, topic) != topic:
                raise DataError(f"contrast {name}: item {item} has different topics in the arms")
    seeds, items = tuple(sorted(common)), sorted(topic_of)
    column = {item: index for index, item in enumerate(items)}
    values = np.full((len(grids), len(seeds), len(items)), np.nan)
    present = np.zeros(values.shape, dtype=np.bool_)
    for arm, grid in enumerate(grids):
        rows = [0 if arms[arm].lone else grid.seeds.index(seed) for seed in seeds]
        columns = [column[item] for item in grid.items]
        values[arm][:, columns] = grid.values[rows]
        present[arm][:, columns] = grid.present[rows]
    strata = np.array([stratum_of[item] for item in items])
    topics = np.array([topic_of[item] for item in items])
    worlds = all(arm.worlds for arm in arms)
    return Paired(seeds, topics, values, present, strata, tuple(items), worlds)


def _codes(names: Array) -> tuple[npt.NDArray[np.intp], list[Any]]:
    """Return each name's index in the sorted distinct names, and those (faster than np.unique)."""
    listed = names.tolist()
    distinct = sorted(set(listed))
    index = {name: position for position, name in enumerate(distinct)}
    return np.fromiter((index[name] for name in listed), dtype=np.intp, count=len(listed)), distinct
