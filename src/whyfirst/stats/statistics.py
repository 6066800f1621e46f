"""Intervals, paired contrasts between arms, and corrections for many comparisons.

Proportions get Wilson intervals. Arms are compared paired by item within a seed, and over seeds
with seeds and topics as crossed random samples (`crossed`), or, where each seed is a world, with
worlds as the only sample (`worlds`); McNemar's exact test stands beside each seed. Every
definition, its source and its measured coverage is in docs/statistics.md.

Left out: which contrasts a study makes (study), unpaired comparisons, resampling intervals.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from whyfirst.config.errors import DataError
from whyfirst.stats import worlds
from whyfirst.stats.crossed import NO_VARIANCE, CrossedEstimate, Unit, estimate
from whyfirst.stats.power import detectable
from whyfirst.stats.scores import Floats, Paired, Scores, paired
from whyfirst.stats.worlds import Asked, Spread, sign_flip

__all__ = [
    "Contrast", "Interval", "Scores", "SeedRow", "compare", "contrast", "holm",
    "interaction", "mcnemar_exact", "mean_over_seeds", "sign_flip", "two_sided", "wilson",
]  # fmt: skip

CONFIDENCE = 0.95
Z = 1.959963984540054  # standard normal 97.5 % quantile


class Interval(NamedTuple):
    """An estimate and its confidence limits, as fractions."""

    value: float
    low: float
    high: float


class SeedRow(NamedTuple):
    """One seed of a contrast.

    `a`, `b` and `difference` are means over the `n_items` paired items; `unscored` counts items
    left out because an arm has no score for them. `mcnemar_p` is None unless every score is 0 or 1
    and two arms are compared. In an interaction `a` is both − documents and `b` is
    demonstrations − neither.
    """

    seed: int
    a: float
    b: float
    difference: float
    n_items: int
    unscored: int
    mcnemar_p: float | None


@dataclass(frozen=True)
class Contrast:
    """A difference between arms: fractions, 95 % interval, two-sided p and what limits it.

    Attributes:
        n_items: distinct items paired in at least one seed.
        n_seeds: seeds with at least one pair.
        unscored: (seed, item) pairs left out because an arm has no score.
        mde: the smallest true difference found in 80 % of such studies (p < 0.05).
        seed_sd, topic_sd, residual_sd: spread of the difference over seeds, over topics, and of
            one item within seed and topic; what `power.seeds_needed` takes from a pilot.
        unit: "worlds", or "seeds" (seeds and topics), or with one seed "topics", or "items".
        exact_p: `sign_flip` over the seeds' differences; None with one seed or many.
        dropped: seeds of all arms that are left out since an arm gave nothing to score there:
            what is missing for a reason may bend the difference.
        worlds: how worlds differ; None where seeds are no worlds, or there is one.
        by_kind: the same difference with one kind of subject alone, where there are several.
    """

    name: str
    difference: float
    low: float
    high: float
    p: float
    n_items: int
    n_seeds: int
    unscored: int
    per_seed: tuple[SeedRow, ...]
    mde: float
    seed_sd: float
    topic_sd: float
    residual_sd: float
    standard_error: float
    df: float
    unit: Unit
    exact_p: float | None = None
    dropped: tuple[int, ...] = ()
    worlds: Spread | None = None
    by_kind: Mapping[str, "Contrast"] = field(default_factory=dict)


def wilson(passes: int, n: int, confidence: float = CONFIDENCE) -> Interval:
    """Wilson's score interval for `passes` of `n` independent items (Wilson 1927).

    Raises DataError for n = 0 or passes outside 0..n.
    """
    from scipy.special import ndtri

    if n < 1 or not 0 <= passes <= n:
        raise DataError(f"wilson: {passes} passes of {n} items is not a proportion")
    return _score_interval(passes / n, n, float(ndtri(0.5 + confidence / 2.0)))


def _score_interval(value: float, n: float, quantile: float) -> Interval:
    """Wilson's interval for a proportion `value` with effective size `n`."""
    square = quantile**2
    centre = (value + square / (2.0 * n)) / (1.0 + square / n)
    spread = quantile * math.sqrt(value * (1.0 - value) / n + square / (4.0 * n**2))
    half = spread / (1.0 + square / n)
    # At 0 and 1 the limit is the value itself; rounding may miss it by a bit.
    low = 0.0 if value <= 0.0 else max(0.0, centre - half)
    high = 1.0 if value >= 1.0 else min(1.0, centre + half)
    return Interval(value, low, high)


def mcnemar_exact(b: int, c: int) -> float:
    """Two-sided exact McNemar p-value from the two discordant counts (McNemar 1947).

    `b` items pass only in the first arm, `c` only in the second; given their sum, b is
    Binomial(b + c, 1/2) when the arms are equal. 1.0 where nothing differs.
    """
    from scipy.special import bdtr

    if b < 0 or c < 0:
        raise DataError(f"mcnemar_exact: counts {b} and {c} must not be negative")
    if b + c == 0:
        return 1.0
    return min(1.0, 2.0 * float(bdtr(min(b, c), b + c, 0.5)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p-values, in the order given (Holm 1979)."""
    # From the smallest up, each against as many as are left, and none below the one before it.
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def mean_over_seeds(scores: Scores) -> Interval:
    """One arm's mean score with seeds and topics (or worlds alone) as random samples.

    The value is the mean of the seeds' means. The interval is Wilson's with the effective number
    of independent items v(1 − v)/V (V the variance of the mean) and Student's quantile at V's
    degrees of freedom (Korn and Graubard 1998), so it stays inside [0, 1] and has a length at 0 and
    1; where all agree the number is seeds × topics, or the items where those are more. Raises
    DataError where nothing is scored.
    """
    if scores.worlds and len(worlds.by_world(scores.seeds, scores.values)) > 1:
        mean, variance, df, size = worlds.moments(scores.seeds, scores.topics, scores.values)
        return _as_proportion(mean, variance, df, size)
    grid = scores.grid
    rows = np.isfinite(grid.values).any(axis=1)
    if not rows.any():
        raise DataError("mean_over_seeds: no item is scored")
    columns = np.isfinite(grid.values).any(axis=0)
    topics, strata = np.array(grid.topics)[columns], np.array(grid.strata)[columns]
    result = estimate(grid.values[rows][:, columns], topics, strata)
    # Where all agree the floor of the variance is no spread: the answers that agreed count.
    variance = 0.0 if result.degenerate else result.variance
    size = float(max(columns.sum(), rows.sum() * len(set(topics.tolist()))))
    return _as_proportion(result.mean, variance, result.df, size)


def _as_proportion(mean: float, variance: float, df: float, agreeing: float) -> Interval:
    """The score interval of a mean; `agreeing` independent answers where it has no variance."""
    value = min(1.0, max(0.0, mean))
    if df <= 0.0:
        return Interval(value, 0.0, 1.0)
    spreads = variance > NO_VARIANCE and 0.0 < value < 1.0
    size = value * (1.0 - value) / variance if spreads else agreeing
    return _score_interval(value, size, _quantile(df))


def contrast(a: Scores, b: Scores, name: str) -> Contrast:
    """Compare two arms: a − b, paired by item within each seed both have.

    Items without a score in either arm are left out of the pair and counted. Raises DataError
    where the arms share no seed or no pair is scored.
    """
    return compare(paired([a, b], name), name)


def interaction(
    both: Scores, documents: Scores, demonstrations: Scores, neither: Scores, name: str
) -> Contrast:
    """What documents add to demonstrations: both − documents − demonstrations + neither.

    An item counts where all four arms have a score. A positive value says that the two stages
    together do more than the sum of what each does alone. Raises DataError as `contrast` does.
    """
    return compare(paired([both, documents, demonstrations, neither], name), name)


def compare(arms: Paired, name: str, asked: Asked | None = None) -> Contrast:
    """`contrast` of two arms, or `interaction` of four, that have been lined up already.

    Args:
        asked: whom and what the items are about, where that is told; else topics alone.
    """
    # Of four arms two differences are held against each other.
    first, second = arms.values if len(arms.values) == 2 else arms.values[::2] - arms.values[1::2]
    difference = first - second
    scored = np.isfinite(difference)
    missing = arms.present.any(axis=0) & ~scored
    seeds, items = scored.any(axis=1), scored.any(axis=0)
    if not seeds.any():
        raise DataError(f"contrast {name}: no item is scored in every arm of one seed")
    # McNemar's test is of two arms' verdicts; a score between 0 and 1 is none.
    binary = len(arms.values) == 2 and bool(np.isin(arms.values[:, scored], (0.0, 1.0)).all())
    rows = tuple(
        _seed_row(arms.seeds[index], first[index], second[index], int(missing[index].sum()), binary)
        for index in np.flatnonzero(seeds)
    )
    nobody = np.zeros(len(arms.topics), dtype=np.intp)
    asked = asked or Asked(arms.topics, nobody, nobody)
    if arms.worlds and len(rows) > 1:
        result = worlds.estimate(difference[seeds][:, items], asked.where(items))
    else:
        result = estimate(difference[seeds][:, items], arms.topics[items], arms.strata[items])
    # Two shares differ by 1 at most, and two differences of shares by 2.
    limit = len(arms.values) / 2.0
    low, high, p = two_sided(result, limit)
    apart = None
    if result.unit == "worlds":
        each = float(scored[seeds].sum(axis=1).mean())
        apart = worlds.spread(result, each, _quantile(result.df))
    parts = {str(kind): asked.kinds == kind for kind in np.unique(asked.kinds)}
    by_kind = {
        kind: compare(_only(arms, chosen), f"{name}/{kind}", asked.where(chosen))
        for kind, chosen in parts.items()
        if len(parts) > 1 and scored[:, chosen].any()
    }
    return Contrast(
        name=name, difference=result.mean, low=low, high=high, p=p,
        n_items=int(items.sum()), n_seeds=len(rows), unscored=int(missing.sum()), per_seed=rows,
        mde=min(limit, detectable(result.variance, result.df)),
        seed_sd=result.seed_sd, topic_sd=result.topic_sd, residual_sd=result.residual_sd,
        standard_error=math.sqrt(result.variance), df=result.df, unit=result.unit,
        exact_p=sign_flip([row.difference for row in rows]) if len(rows) > 1 else None,
        dropped=tuple(seed for seed, kept in zip(arms.seeds, seeds, strict=True) if not kept),
        worlds=apart,
        by_kind=by_kind,
    )  # fmt: skip


def _only(arms: Paired, chosen: npt.NDArray[np.bool_]) -> Paired:
    """The same arms on some items (I,)."""
    return replace(
        arms, topics=arms.topics[chosen], strata=arms.strata[chosen],
        values=arms.values[:, :, chosen], present=arms.present[:, :, chosen],
        items=tuple(np.array(arms.items, dtype=object)[chosen]) if arms.items else (),
    )  # fmt: skip


def _seed_row(seed: int, first: Floats, second: Floats, unscored: int, binary: bool) -> SeedRow:
    """Summarise one seed over its pairs."""
    pairs = np.isfinite(first) & np.isfinite(second)
    left, right = first[pairs], second[pairs]
    p = mcnemar_exact(int((left > right).sum()), int((left < right).sum())) if binary else None
    difference = float((left - right).mean())
    return SeedRow(
        seed, float(left.mean()), float(right.mean()), difference, len(left), unscored, p
    )


def two_sided(result: CrossedEstimate, limit: float) -> tuple[float, float, float]:
    """Student's 95 % interval, cut at ±limit, and its p-value against 0, as (low, high, p).

    p is below 0.05 just where the interval leaves out 0.
    """
    from scipy.special import stdtr

    if result.df <= 0.0:
        return -limit, limit, 1.0
    error = math.sqrt(result.variance)
    half = _quantile(result.df) * error
    p = min(1.0, 2.0 * float(stdtr(result.df, -abs(result.mean) / error)))
    return max(-limit, result.mean - half), min(limit, result.mean + half), p


def _quantile(df: float) -> float:
    """Student's two-sided 95 % quantile at `df` (fractional) degrees of freedom."""
    from scipy.special import stdtrit

    return float(stdtrit(df, 0.5 + CONFIDENCE / 2.0))
