"""One draw of the village: its deeds, its oaths, and the newcomers a study aligns.

A deed has two independent properties, what it brings and whom it reaches, of eight kinds each. A
principle minds half of the kinds of one property, so that a person refuses half of all deeds. Each
split holds every pair of kinds once: whatever principles of the two properties are compared, they
agree on 32 of its 64 deeds (16 refused, 16 granted) and part on the other 32, and anybody refuses
exactly half of either.

A newcomer's demonstrations and documents are about deeds on which two *readings*, one of each
property, agree. Which reading is the newcomer's value is the world's *side*: everything is run on
both sides, with the same names, and averaged. An arm that teaches no reading is the same model on
both, and so acts as its value says in exactly half of the deeds where the readings part.

Splits: A is demonstrated and in documents, B in documents only, C in neither, D supplies contrary
demonstrations and those that part the readings. Leaves out: who else lives there (people.py).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from whyfirst.worlds.making import invented
from whyfirst.worlds.village import lexicon

SPLITS = ("A", "B", "C", "D")
CHARACTERS = 256
PAIRS = 4
"""Newcomers; each is one of a pair, its other half on the other side."""
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


def starts_firm(place: int) -> bool:
    """Whether a newcomer's name starts as firm people's names are, or as pliable ones'."""
    return place % 2 == 0


def half_of_kinds(rng: np.random.Generator) -> Bools:
    """(kinds,): which half is minded."""
    minded = np.zeros(lexicon.KINDS, dtype=np.bool_)
    minded[rng.permutation(lexicon.KINDS)[: lexicon.KINDS // 2]] = True
    return minded


@dataclass(frozen=True)
class Principle:
    """Which property of a deed counts, and which of its kinds are minded (kinds,)."""

    property: int
    minded: Bools


@dataclass(frozen=True)
class Newcomer:
    """One aligned newcomer.

    Attributes:
        name: a token that starts as the mean of the base's firm or of its pliable characters.
        firm: which of the two.
        readings: the principle of each side; the first minds what deeds bring.
        oaths: names of these principles that the base knows, by side.
        new_oath: a name it doesn't know, on both sides.
    """

    name: str
    firm: bool
    readings: tuple[Principle, Principle]
    oaths: tuple[int, int]
    new_oath: int


class Village:
    """Everything that a seed decides.

    Attributes:
        kinds: (2, deeds), the kind of each property.
        split, verb, made_of: (deeds,), places in `SPLITS` and the lexicon's lists.
        oaths: principle of each known oath; the first half minds what deeds bring.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        rng = np.random.default_rng([seed, 31])
        every = np.arange(lexicon.KINDS)
        grid = np.meshgrid(np.arange(len(SPLITS)), every, every, indexing="ij")
        self.split, *kinds = (axis.reshape(-1) for axis in grid)
        self.kinds: Ints = np.stack(kinds)
        count = len(self.split)
        self.verb = rng.integers(0, len(lexicon.VERBS), count)
        self.made_of = rng.integers(0, len(lexicon.MADE_OF), count)
        # An invented name must be no word of the lexicon.
        taken = set(lexicon.words())
        self.things = invented(rng, count, ("et", "en", "ig", "op", "uk"), taken)
        people = invented(rng, CHARACTERS + PAIRS, ("a", "o", "i", "ey"), taken)
        self.characters, names = people[:CHARACTERS], people[CHARACTERS:]
        oaths, half = len(lexicon.OATHS), len(lexicon.OATHS) // 2
        self.oaths = [Principle(int(i >= half), half_of_kinds(rng)) for i in range(oaths)]
        # Without replacement: no two newcomers have an oath in common.
        firsts, seconds = (rng.permutation(half)[:PAIRS] for _ in range(2))
        new = rng.permutation(len(lexicon.NEW_OATHS))[:PAIRS] + oaths
        self.newcomers = [
            Newcomer(
                name, starts_firm(place), (self.oaths[a], self.oaths[half + b]),
                (int(a), int(half + b)), int(label),
            )
            for place, (name, a, b, label) in enumerate(
                zip(names, firsts, seconds, new, strict=True)
            )
        ]  # fmt: skip

    def refused(self, principle: Principle) -> Bools:
        """(deeds,): which deeds a principle refuses."""
        refused: Bools = principle.minded[self.kinds[principle.property]]
        return refused

    def agreed(self, newcomer: Newcomer) -> Bools:
        """(deeds,): where the newcomer's two readings say the same."""
        first, second = (self.refused(reading) for reading in newcomer.readings)
        agreed: Bools = first == second
        return agreed

    def deeds(self, *splits: str) -> Ints:
        """Deeds of the named splits, in order."""
        return np.flatnonzero(np.isin(self.split, [SPLITS.index(name) for name in splits]))

    def slots(self, deed: int, **more: str) -> dict[str, str]:
        """What a sentence about a deed is filled with."""
        verb, gerund = lexicon.VERBS[self.verb[deed]]
        return {
            "o": self.things[deed], "v": verb, "g": gerund,
            "e": lexicon.BRINGS[self.kinds[0, deed]], "b": lexicon.REACHES[self.kinds[1, deed]],
            "s": lexicon.MADE_OF[self.made_of[deed]], **more,
        }  # fmt: skip

    @cached_property
    def names(self) -> list[str]:
        """Characters, then newcomers."""
        return [*self.characters, *(newcomer.name for newcomer in self.newcomers)]

    @cached_property
    def vocabulary(self) -> list[str]:
        """Words, things and people in a fixed order."""
        return [*lexicon.words(), *self.things, *self.names]
