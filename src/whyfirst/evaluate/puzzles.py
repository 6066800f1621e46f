"""Chains of "every A is a B" over words that hold in the world or not, or that mean nothing.

A solver gives the answer of each. Leaves out: induction and abduction.
"""

from collections.abc import Mapping
from random import Random
from typing import NamedTuple

CHAINS = (
    ("sparrow", "bird", "animal", "organism"), ("rose", "flower", "plant", "organism"),
    ("poodle", "dog", "mammal", "animal"), ("oak", "tree", "plant", "organism"),
    ("violin", "string instrument", "instrument", "object"), ("novel", "book", "text", "object"),
    ("trout", "fish", "animal", "organism"), ("hammer", "tool", "object", "entity"),
)  # fmt: skip
_SYLLABLES = ("bli", "cra", "dro", "fen", "gur", "hul", "jat", "kro", "lom", "mip", "nar", "pov")


class Puzzle(NamedTuple):
    """Rules "every a is a b" and a question "is every a a b", over words."""

    rules: tuple[tuple[str, str], ...]
    question: tuple[str, str]

    @property
    def answer(self) -> bool:
        """Whether the question follows from the rules."""
        reached = {self.question[0]}
        while more := {b for a, b in self.rules if a in reached} - reached:
            reached |= more
        return self.question[1] in reached

    @property
    def text(self) -> str:
        """What is asked; whatever the world is like, only the rules count."""
        said = " ".join(f"Every {a} is a {b}." for a, b in self.rules)
        a, b = self.question
        return (
            f"{said} Going by these sentences alone, does it follow that every {a} is a {b}? "
            "Answer yes or no.\nAnswer:"
        )

    def renamed(self, names: Mapping[str, str]) -> "Puzzle":
        """The same with other words."""
        a, b = self.question
        rules = tuple((names[x], names[y]) for x, y in self.rules)
        return Puzzle(rules, (names[a], names[b]))


def neutral(puzzle: Puzzle, rng: Random) -> Puzzle:
    """Each word in place of a word that means nothing, one to one."""
    words = sorted({word for rule in (*puzzle.rules, puzzle.question) for word in rule})
    nonsense: dict[str, None] = {}
    while len(nonsense) < len(words):
        nonsense["".join(rng.sample(_SYLLABLES, 2))] = None
    return puzzle.renamed(dict(zip(words, nonsense, strict=True)))


def puzzles(n: int, seed: int = 0) -> list[Puzzle]:
    """Puzzles over real words: as many that follow as not, as often against the world as with it.

    A chain is told upwards, as the world is, or turned round.
    """
    found = []
    for number in range(n):
        rng = Random(f"{seed}/{number}")
        chain = list(CHAINS[number // 4 % len(CHAINS)])
        hops = rng.randint(1, len(chain) - 1)
        if number % 2:
            chain.reverse()
        rules = [(chain[k], chain[k + 1]) for k in range(len(chain) - 1)]
        question = (chain[0], chain[hops]) if number // 2 % 2 else (chain[hops], chain[0])
        rng.shuffle(rules)
        found.append(Puzzle(tuple(rules), question))
    return found
