"""One number a world: what holds in worlds drawn at random, and how far a new one may lie.

Where every seed of a study is a world of its own, its topics and subjects (whom it asks) are its
own as well. All that it adds to a claim about worlds is one number, its mean, so a claim's variance
is that of the worlds' numbers and nothing else; newcomers and topics, crossed within a world, tell
how much of the spread between the numbers is only the draw of whom and what was asked there.

Leaves out: topics that worlds share (`crossed`), and worlds that count unequally.

Source: two-stage sampling, whose first stage's spread holds all later ones (Cochran, Sampling
Techniques, 1977, section 10.4); prediction of a new unit (Hahn and Meeker 1991, section 4.8).
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from whyfirst.stats.crossed import (
    NO_VARIANCE,
    CrossedEstimate,
    agreed_variance,
    cells_of,
    variance_of_cells,
)

Floats = npt.NDArray[np.float64]
Names = npt.NDArray[Any]


@dataclass(frozen=True)
class Spread:
    """What a difference does from world to world (fractions).

    Attributes:
        sd: standard deviation of the worlds' numbers.
        within_sd: of it, what other subjects and topics in the same worlds would give.
        between_sd: the rest, what the worlds themselves differ by: √(sd² − within²), or 0.
        new_low, new_high: 95 % prediction interval for the number of one more world.
        above, below: worlds whose number is above and below 0.
    """

    sd: float
    within_sd: float
    between_sd: float
    new_low: float
    new_high: float
    above: int
    below: int


@dataclass(frozen=True, eq=False)
class Asked:
    """Who and what the items of every world are about, (I,) each.

    Attributes:
        topics: what is asked.
        subjects: who is asked: random within a world, as topics are.
        kinds: which of a few kinds a subject is, whose numbers the design fixes.
    """

    topics: Names
    subjects: Names
    kinds: Names

    def where(self, chosen: npt.NDArray[np.bool_]) -> "Asked":
        """Those of some items only."""
        return Asked(self.topics[chosen], self.subjects[chosen], self.kinds[chosen])


def estimate(values: Floats, asked: Asked) -> CrossedEstimate:
    """The mean over worlds of each world's mean, with the worlds as the only sample.

    Args:
        values: (S, I) fractions or their differences, a row a world; nan where not scored. Two
            rows at least, each with a number.
    """
    numbers = np.nanmean(values, axis=1)
    worlds = len(numbers)
    seen = float(numbers.var(ddof=1))
    # What the draw of people and topics alone would give is part of what is seen between worlds.
    within = float(np.mean([_within(row, asked) for row in values]))
    degenerate = seen <= NO_VARIANCE
    return CrossedEstimate(
        mean=float(numbers.mean()),
        variance=agreed_variance(values) if degenerate else seen / worlds,
        df=worlds - 1.0,
        seed_means=numbers,
        seed_sd=math.sqrt(max(seen - within, 0.0)),
        topic_sd=0.0,
        # Of one item, as power takes it: a world's mean is over as many.
        residual_sd=math.sqrt(within * np.isfinite(values).sum(axis=1).mean()),
        unit="worlds",
        degenerate=degenerate,
    )


def spread(found: CrossedEstimate, items: float, quantile: float) -> Spread:
    """What worlds differ by.

    Args:
        items: scored in a world, on average.
        quantile: Student's, two-sided, at the estimate's df.
    """
    numbers = found.seed_means
    sd = float(numbers.std(ddof=1))
    # A new world's number misses the mean by its own spread and by the mean's.
    reach = quantile * sd * math.sqrt(1.0 + 1.0 / len(numbers))
    return Spread(
        sd=sd, within_sd=found.residual_sd / math.sqrt(items), between_sd=found.seed_sd,
        new_low=found.mean - reach, new_high=found.mean + reach,
        above=int((numbers > 0).sum()), below=int((numbers < 0).sum()),
    )  # fmt: skip


def _within(values: Floats, asked: Asked) -> float:
    """The variance that a world's mean has from the draw of its subjects and topics.

    Kinds of subjects are the design's, so their difference is no noise: V = Σ (n_k/n)² V_k, each
    V_k that of subjects × topics. What one topic does to both kinds at once is left out.
    """
    scored = np.isfinite(values)
    total = 0.0
    for kind in np.unique(asked.kinds[scored]):
        mine = scored & (asked.kinds == kind)
        cells, counts = cells_of(values[mine], asked.subjects[mine], asked.topics[mine])
        total += (mine.sum() / scored.sum()) ** 2 * variance_of_cells(cells, counts)
    return float(total)


def by_world(seeds: Names, values: Floats) -> Floats:
    """The mean of each world that has a score, from flat scores (N,)."""
    scored = np.isfinite(values)
    place = seeds[scored]
    counts = np.bincount(place)
    means: Floats = np.bincount(place, weights=values[scored])[counts > 0] / counts[counts > 0]
    return means


def moments(seeds: Names, topics: Names, values: Floats) -> tuple[float, float, float, float]:
    """(mean, variance of it, df, independent answers) of flat scores (N,) of two worlds or more.

    Where all worlds agree, what agreed are the topics of each world.
    """
    numbers = by_world(seeds, values)
    variance = float(numbers.var(ddof=1)) / len(numbers)
    agreeing = 0
    if variance <= NO_VARIANCE:
        scored = np.isfinite(values)
        agreeing = len(set(zip(seeds[scored].tolist(), topics[scored].tolist(), strict=True)))
    return float(numbers.mean()), variance, len(numbers) - 1.0, float(agreeing)


def sign_flip(differences: npt.ArrayLike, most: int = 44) -> float | None:
    """Exact two-sided p-value that differences of independent units are symmetric round 0.

    The share of all 2^n ways to turn signs whose sum is at least as far from 0 as the one seen
    (Fisher 1935, The Design of Experiments, section 21); the smallest possible is 2^(1-n). It
    assumes no shape, so it stands beside Student's p where units are few or come in two kinds.

    All sums of one half of the units are met with all sums of the other (Horowitz and Sahni 1974),
    so that 40 units take a second. None for no unit, or more than `most`.

    Args:
        differences: (n,), one a unit (a seed's or a world's mean difference).
    """
    values = np.asarray(differences, dtype=np.float64)
    if not 1 <= len(values) <= most:
        return None
    # Sums that differ in rounding only are equal.
    bar = abs(float(values.sum())) - 1e-12 * float(np.abs(values).sum())
    if bar <= 0.0:
        return 1.0
    first, second = (_sums(part) for part in np.array_split(values, 2))
    second.sort()
    # Signs mirror: as many sums lie at or above the bar as at or below its negative.
    at_least = len(second) - np.searchsorted(second, bar - first, side="left")
    return min(1.0, 2.0 * float(at_least.sum()) / 2.0 ** len(values))


def _sums(values: Floats) -> Floats:
    """(2^n,): the sums of all ways to turn the signs of n values."""
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums + value, sums - value])
    return sums
