"""Embedded worlds: draws of everything a model organism is made of, by name.

A world ships its base model, values, topic splits, framings, benchmarks and probe items with the
package. Each lies in a package of its own here, which enters it with ``@WORLDS.enter(name, ...)``
in its module `worlds`, and its corpora, benchmarks and the like in modules called as their rooms
are. Facts an entry holds beside `Entry`'s own:

- ``corpora``, ``benchmarks``: names, in their rooms, of what is about this world and needs it;
- ``example``: options of a world that ships, as a study file says them (``seed: 4``);
- ``per_side``: options that a study sets itself, as it runs every arm on each side;
- ``demos``: the shipped studies that show it, whole and quick, of the world that ships.

Leaves out: everything that is said of one world; nothing outside its package names it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from whyfirst.config.room import Entry, Room

if TYPE_CHECKING:
    from whyfirst.probe.pairs import Items

Progress = Callable[[int, int, str], None]


def silent(done: int, total: int, said: str) -> None:
    """Nobody is told."""


@dataclass(frozen=True)
class World(ABC):
    """One world, as a study asks for it.

    Attributes:
        seed: which draw of the world; benchmarks are told it.
        identity: what of it enters the fingerprint of everything that depends on it.
        values: ids of the values its people can hold.
        taught, other: the value its benchmarks measure, and the one it may conflict with.
        splits, framings: of its benchmarks' items.
        recall: the benchmark asked at the seam between the stages; None where it has none.
        side: which of two readings is its newcomers' value, in a world with more than one side.
        sides: how many it has; a study runs every arm on each and averages over them. What doesn't
            differ between sides is done once for all.
        ships: whether its base model comes with the package; else a study builds it.
        drawn: whether each seed of a study is a world of its own, and so what its claims are about.
    """

    sides: ClassVar[int] = 1
    ships: ClassVar[bool] = True
    drawn: ClassVar[bool] = False

    seed: int
    identity: Mapping[str, Any]
    values: tuple[str, ...]
    taught: str
    other: str
    splits: tuple[str, ...]
    framings: tuple[str, ...]
    recall: str | None
    side: int = 0

    def at(self, seed: int, side: int = 0) -> "World":
        """The world that a seed of the study lives in: this one, or a draw of its own."""
        return self

    def asked_as(self, seed: int) -> int:
        """The seed that benchmarks are told, of a seed of the study."""
        return seed

    @property
    def options(self) -> dict[str, Any]:
        """With which the registry makes this world."""
        return {"seed": self.seed}

    @property
    def base_id(self) -> str:
        """The node of its base model in a study's graph."""
        return "base"

    @abstractmethod
    def base_folder(self) -> Path:
        """The folder of its base model.

        Raises:
            UserError: none ships for this draw.
        """

    @abstractmethod
    def base_fingerprint(self) -> str:
        """Content hash of the base model and of all that is recorded beside it."""

    @abstractmethod
    def copy_base(self, target: Path, progress: Progress = silent) -> None:
        """Put the base model into a folder: copied, or built there."""

    @abstractmethod
    def probe_items(self, limit: int | None) -> "Items":
        """What models of this world are probed on, with about `limit` requests."""


WORLDS: Room[World] = Room("worlds")


def shipped() -> Entry[World]:
    """The world that ships with its demonstrations: the one meant where none is named."""
    return next(entry for entry in WORLDS.entries() if "demos" in entry.facts)
