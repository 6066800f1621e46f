"""Orders of the choices of a question, drawn by its name and not by any seed.

Leaves out: taking a place's pull out again (`stats.shares.adjusted`).
"""

import math
from collections.abc import Sequence
from itertools import permutations
from random import Random


def some_orders(n: int, most: int, name: str) -> list[tuple[int, ...]]:
    """All orders of n choices; where there are more, `most` of them, the given one the first."""
    if math.factorial(n) <= most:
        return list(permutations(range(n)))
    rng, drawn = Random(name), {tuple(range(n)): None}
    while len(drawn) < most:
        drawn[tuple(rng.sample(range(n), n))] = None
    return list(drawn)


def turned(candidates: Sequence[str], name: str) -> list[list[str]]:
    """The candidates shuffled once, by name, and then turned through every place."""
    first = Random(name).sample(list(candidates), len(candidates))
    return [first[at:] + first[:at] for at in range(len(first))]
