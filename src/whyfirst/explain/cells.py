"""Cells: what single documents are to be, dealt from a plan like cards.

The least covered behaviour and genre come first and everything else from even decks, so that
coverage is known in advance. Leaves out: the plan's levels (`plan.py`).
"""

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from heapq import heapify, heappop, heappush
from typing import Any, TypeVar

from whyfirst.config.files import sha256_json
from whyfirst.constitution import Constitution, Value
from whyfirst.explain.plan import Plan

#: levels of a cell that a document has as fields of its own
FRAME = ("genre", "audience", "stance", "angle", "domain")


@dataclass(frozen=True)
class Cell:
    """What one document is to be: one entry of each level, and how many such there were."""

    value: str
    behaviour: str
    upheld: bool
    genre: str
    audience: str
    stance: str
    angle: str
    domain: str
    subdomain: str
    idea: str
    number: int

    @cached_property
    def id(self) -> str:
        """16 hex digits that tell this cell from every other."""
        return sha256_json(asdict(self))[:16]

    @property
    def frame(self) -> dict[str, str]:
        """What its document takes over as it is, in whatever corpus."""
        return {name: getattr(self, name) for name in FRAME}


T = TypeVar("T")


def dealt(items: Sequence[T], i: int, key: str) -> T:
    """Card `i` of a deck that is shuffled anew each time it has been dealt out: even coverage."""
    # Dealt and not drawn: with draws, some entry would come up far more often than others.
    return items[_deck(len(items), i // len(items), key)[i % len(items)]]


@lru_cache(maxsize=4096)
def _deck(size: int, deal: int, key: str) -> tuple[int, ...]:
    return tuple(random.Random(f"{key}/{deal}").sample(range(size), size))


class Dealer:
    """Deals cells: the least covered (behaviour, genre) first, everything else from even decks.

    A pair's cover counts its kept documents and half of its rejected ones, so that a pair no
    teacher can fill doesn't hold up the others for ever.
    """

    def __init__(self, plan: Plan, constitution: Constitution, seed: int) -> None:
        self.plan = plan
        self._seed = seed
        self._dealt = 0
        self._rejected: Counter[int] = Counter()
        self._times: Counter[int] = Counter()
        self._angles: dict[str, list[str]] = {}
        for value in constitution.values:
            # Angles that a value has nothing for give their share to consequences.
            has = {"conflict": bool(conflicts_of(value, constitution)),
                   "boundary": bool(value.boundaries)}  # fmt: skip
            self._angles[value.id] = [
                angle if has.get(angle, True) else "consequences"
                for angle, share in sorted(plan.types.angles.items())
                for _ in range(share)
            ]
        # Each round has every assertion once, genres evenly; after all rounds each pair is met.
        assertions, genres = plan.assertions, sorted(plan.types.genres)
        offsets = [dealt(range(len(genres)), i, f"{seed}/offset") for i in range(len(assertions))]
        self._pairs = [
            (assertions[a], genres[(offsets[a] + turn) % len(genres)])
            for turn in range(len(genres))
            for a in _deck(len(assertions), turn, f"{seed}/assertion")
        ]
        self._heap = [(0, position) for position in range(len(self._pairs))]
        heapify(self._heap)
        self._open: dict[str, tuple[int, int]] = {}

    def deal(self, count: int) -> list[Cell]:
        """The next cells, at most one of each (behaviour, genre) until `settle` returns them."""
        types, key = self.plan.types, str(self._seed)
        cells: list[Cell] = []
        while self._heap and len(cells) < count:
            # Ties go by position, which is the order of the rounds.
            covered, position = heappop(self._heap)
            assertion, genre = self._pairs[position]
            i, self._dealt = self._dealt, self._dealt + 1
            number, self._times[position] = self._times[position], self._times[position] + 1
            idea = dealt(self.plan.ideas, i, f"{key}/idea")
            cell = Cell(
                assertion.value, assertion.behaviour, assertion.upheld, genre,
                audience=dealt(types.audiences, i, f"{key}/audience"),
                stance=dealt(types.stances, i, f"{key}/stance"),
                angle=dealt(self._angles[assertion.value], i, f"{key}/angle"),
                domain=self.plan.subdomain(idea.subdomain).domain, subdomain=idea.subdomain,
                idea=idea.text, number=number,
            )  # fmt: skip
            self._open[cell.id] = (covered, position)
            cells.append(cell)
        return cells

    def all_kept(self, count: int) -> list[Cell]:
        """So many cells, as they are dealt where every document is kept."""
        cells: list[Cell] = []
        while len(cells) < count:
            dealt = self.deal(count - len(cells))
            for cell in dealt:
                self.settle(cell, kept=True)
            cells += dealt
        return cells

    def settle(self, cell: Cell, kept: bool) -> None:
        """Say what became of a dealt cell's document."""
        covered, position = self._open.pop(cell.id)
        if not kept:
            self._rejected[position] += 1
        # Half of a cover for a rejected one: every second of them lifts the pair by one.
        up = 1 if kept or self._rejected[position] % 2 == 0 else 0
        heappush(self._heap, (covered + up, position))


def conflicts_of(value: Value, constitution: Constitution) -> list[tuple[str, str, str, str]]:
    """(when, id of the winner, id of the loser, because) of every conflict the value is part of."""
    found = []
    for owner in constitution.values:
        for c in owner.conflicts:
            if value.id in (owner.id, c.against):
                # A conflict stands with one of its values and is part of both.
                loser = c.against if c.wins == owner.id else owner.id
                found.append((c.when, c.wins, loser, c.because))
    return found


def coverage(cells: Iterable[Cell]) -> dict[str, Any]:
    """How many cells fall on each entry of each dimension and each (value, genre)."""
    listed = list(cells)
    counts: dict[str, Any] = {
        name: dict(sorted(Counter(getattr(cell, name) for cell in listed).items()))
        for name in ("value", *FRAME)
    }
    pairs = Counter((cell.value, cell.behaviour, cell.genre) for cell in listed)
    return {"cells": len(listed), "behaviour_genre_pairs": len(pairs), **counts}
