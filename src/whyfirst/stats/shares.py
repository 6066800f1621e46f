"""Shares of a whole: how even they are, how far apart, and what orders of them say together.

Leaves out: where shares come from (a model's probabilities, people's votes).
"""

import math
from collections.abc import Sequence


def normalised_entropy(shares: Sequence[float]) -> float:
    """H(p) / log n, in [0, 1]."""
    return -sum(p * math.log(p) for p in shares if p > 0) / math.log(len(shares))


def total_variation(p: Sequence[float], q: Sequence[float]) -> float:
    """Half the sum of the differences, in [0, 1]."""
    return sum(abs(a - b) for a, b in zip(p, q, strict=True)) / 2


def hellinger(p: Sequence[float], q: Sequence[float]) -> float:
    """||sqrt p - sqrt q|| / sqrt 2, in [0, 1]."""
    return math.sqrt(sum((math.sqrt(a) - math.sqrt(b)) ** 2 for a, b in zip(p, q, strict=True)) / 2)


def adjusted(
    orders: Sequence[Sequence[int]], shares: Sequence[Sequence[float]]
) -> tuple[float, ...]:
    """The mean share of each choice over orders: place k of an order stood for choice order[k]."""
    out = [0.0] * len(orders[0])
    for order, share in zip(orders, shares, strict=True):
        for choice, value in zip(order, share, strict=True):
            out[choice] += value / len(orders)
    return tuple(out)
