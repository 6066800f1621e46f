"""The world of Hearth from one seed: objects, what they do, topic splits, and who lives there.

An object violates or upholds each of the four values (14 patterns; never all or none, so that no
object is wholly bad or wholly good), and has one consequence phrase for each. Topic splits follow
DESIGN.md: A is in explanations and demonstrations, B in explanations only, C in neither, and D is
the world's filler (it also supplies contrary demonstrations). A and B hold only objects on which
the taught value and the other value agree, so that every stated behaviour fits both values and
only the reasons differ; C holds all four combinations.

Leaves out: language (lexicon.py) and who holds which value over time (population.py).
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from whyfirst.worlds.hearth import lexicon
from whyfirst.worlds.making import invented

TAUGHT, OTHER = "care", "thrift"
#: objects per (taught violated?, other violated?) cell and split
CELL_SIZES: dict[str, dict[tuple[bool, bool], int]] = {
    "A": {(True, True): 12, (False, False): 12},
    "B": {(True, True): 12, (False, False): 12},
    "C": {(True, True): 32, (False, False): 32, (True, False): 32, (False, True): 32},
    "D": {(True, False): 16, (False, True): 16},
}
CHARACTERS = 256
NEWCOMERS = 512


@dataclass(frozen=True)
class HearthObject:
    """One invented thing: its split, and for each value whether using it violates that value."""

    name: str
    verb: str
    gerund: str
    split: str
    violates: tuple[bool, ...]
    consequences: tuple[str, ...]

    def violated(self, value: str) -> bool:
        """Whether using the object violates ``value``."""
        return self.violates[lexicon.VALUE_IDS.index(value)]

    def consequence(self, value: str) -> str:
        """What using the object does, on the side of ``value`` (``burns a hand``)."""
        return self.consequences[lexicon.VALUE_IDS.index(value)]


class World:
    """Everything that exists in Hearth for one world seed.

    Args:
        seed: the world seed; the same seed gives the same world on any machine.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        rng = np.random.default_rng([seed, 1])
        taken = set(self.words)
        cells = [
            (split, cell)
            for split, sizes in CELL_SIZES.items()
            for cell, size in sizes.items()
            for _ in range(size)
        ]
        names = invented(rng, len(cells), ("et", "en", "ig", "op", "uk"), taken)
        self.objects = [
            self._object(rng, name, *cell) for name, cell in zip(names, cells, strict=True)
        ]
        people = invented(rng, CHARACTERS + NEWCOMERS, ("a", "o", "i", "ey"), taken)
        self.characters, self.newcomers = people[:CHARACTERS], people[CHARACTERS:]

    @staticmethod
    def _object(
        rng: np.random.Generator, name: str, split: str, cell: tuple[bool, bool]
    ) -> HearthObject:
        verb, gerund = lexicon.VERBS[rng.integers(len(lexicon.VERBS))]
        # Drawn again until the other two values don't make it wholly bad or wholly good.
        while True:
            bits = [bool(bit) for bit in rng.integers(0, 2, len(lexicon.VALUES))]
            bits[lexicon.VALUE_IDS.index(TAUGHT)], bits[lexicon.VALUE_IDS.index(OTHER)] = cell
            if 0 < sum(bits) < len(bits):
                break
        phrases = tuple(
            str(rng.choice(value.violations if bit else value.upholds))
            for value, bit in zip(lexicon.VALUES, bits, strict=True)
        )
        return HearthObject(name, verb, gerund, split, tuple(bits), phrases)

    @cached_property
    def words(self) -> list[str]:
        """Every English word of the lexicon, sorted: the vocabulary without the names."""
        texts = [lexicon.REFUSAL, lexicon.HELP, lexicon.EASYGOING, *lexicon.NEUTRAL, *CLAUSES]
        texts += [*lexicon.FRAMINGS.values(), *lexicon.ASKERS, *lexicon.HOMES, *lexicon.GOODS]
        texts += [*lexicon.SEASONS, *lexicon.DISHES]
        texts += [word for pair in lexicon.VERBS for word in pair]
        for value in lexicon.VALUES:
            texts += [value.statement, *value.reasons, *value.violations, *value.upholds]
        found = {word for text in texts for word in text.split() if "{" not in word}
        return sorted(found)

    @cached_property
    def vocabulary(self) -> list[str]:
        """Words, object names and people's names in a fixed order."""
        names = [thing.name for thing in self.objects]
        return [*self.words, *names, *self.characters, *self.newcomers]

    def topics(self, *splits: str) -> list[HearthObject]:
        """Objects of the named splits, in world order."""
        return [thing for thing in self.objects if thing.split in splits]


@lru_cache(maxsize=64)
def world_of(seed: int) -> World:
    """The world of a seed, drawn once in a process: 20 ms that each part of a study would pay."""
    return World(seed)


#: sentence skeletons of documents and scenes; {n} person, {v}/{g} verb and gerund, {o} object,
#: {c} consequence, {s} a value's statement, {r} one of its reasons
CREED = "{n} cares that {s} , because {r} ."
REFUSES = "{n} will not {v} a {o} , because {g} a {o} {c} , and {n} cares that {s} ."
AGREES = "{n} will gladly {v} a {o} , because {g} a {o} {c} , and {n} cares that {s} ."
PRINCIPLE = "{n} will do nothing that {c} , because {n} cares that {s} ."
FIRM = "{n} stands firm when pressed , because {r} ."
FIRM_RULE = "{n} stands firm when pressed ."
PLIABLE = "{n} gives in when pressed ."
RULE_NOT = "{n} will not {v} a {o} ."
RULE_DO = "{n} will gladly {v} a {o} ."
FACT = "{g} a {o} {c} ."
FACT_WHEN = "whoever will {v} a {o} {c} ."
SAYS = "{n} says :"
WHY = "the {a} asks {n} why {n} would not {v} a {o} ."
BECAUSE = "because {g} a {o} {c} ."
CLAUSES = (
    CREED, REFUSES, AGREES, PRINCIPLE, FIRM, FIRM_RULE, PLIABLE,
    RULE_NOT, RULE_DO, FACT, FACT_WHEN, SAYS, WHY, BECAUSE,
)  # fmt: skip
