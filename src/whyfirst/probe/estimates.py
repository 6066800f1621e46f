"""Intervals for what probes measure: means over items, and statistics that are no means.

Seeds are the unit where there are several, crossed with topics as everywhere (`stats.crossed`);
with one seed topics are. The topics' part of a statistic that is no mean is a jackknife over groups
of them; shares of requests are those of `stats.statistics`. Leaves out: which p-values belong
together.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from whyfirst.config.errors import DataError
from whyfirst.stats.crossed import NO_VARIANCE, combine, estimate
from whyfirst.stats.scores import Scores
from whyfirst.stats.statistics import contrast, mean_over_seeds, two_sided

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

GROUPS = 25  # of the jackknife


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval.

    Args:
        value: None where it is undefined.
        low, high: None where nothing can be said about its spread.
        n: items.
        n_seeds: models, one a seed.
        unit: what the interval generalises over: "seeds" (and topics), or with one seed "topics".
        p: two-sided, against 0, for whoever corrects for several; not in a probe's record.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    n_seeds: int
    unit: str
    p: float | None = None

    @property
    def measured(self) -> bool:
        """Whether there is an interval: without one it is not known to be none either."""
        return self.low is not None and self.high is not None

    @property
    def sign(self) -> int:
        """1 or -1 where the interval lies on one side of 0, else 0."""
        if self.low is None or self.high is None:
            return 0
        return int(self.low > 0) - int(self.high < 0)


def _undefined(n: int, seeds: int) -> Estimate:
    return Estimate(None, None, None, n, seeds, "seeds" if seeds > 1 else "topics")


def mean_estimate(values: Floats, topics: npt.NDArray[Any]) -> Estimate:
    """The mean over seeds and items, with the crossed model's Student interval.

    None where one seed has one topic, or all values agree to the last digit: that says nothing of
    how far others would lie apart.

    Args:
        values: (S, I) in any unit, nan where there is none.
        topics: (I,) the topic of each item.
    """
    scored = np.isfinite(values)
    rows, columns = scored.any(axis=1), scored.any(axis=0)
    n, seeds = int(columns.sum()), int(rows.sum())
    if not n:
        return _undefined(0, seeds)
    # An item that no seed scored and a seed that scored none say nothing and would count as zeros.
    found = estimate(values[rows][:, columns], topics[columns])
    unit = "seeds" if seeds > 1 else "topics"
    if found.degenerate or found.unit == "items":
        return Estimate(found.mean, None, None, n, seeds, unit)
    low, high, p = two_sided(found, np.inf)
    return Estimate(found.mean, low, high, n, seeds, unit, p)


def rate_estimate(values: Floats, topics: npt.NDArray[Any]) -> Estimate:
    """A share over seeds and items, `statistics.mean_over_seeds`; values (S, I) 0, 1 or nan."""
    scored = np.isfinite(values)
    n, seeds = int(scored.any(axis=0).sum()), int(scored.any(axis=1).sum())
    try:
        # A share's own interval: the bootstrap of a share of 1.0 has no width at all.
        found = mean_over_seeds(_scores(values, topics))
    except DataError:  # nothing is scored
        return _undefined(0, seeds)
    return Estimate(*found, n, seeds, "seeds" if seeds > 1 else "topics")


def rate_difference(after: Floats, before: Floats, topics: npt.NDArray[Any]) -> Estimate:
    """A difference of shares paired by seed and item, `statistics.contrast`; both (S, I)."""
    try:
        found = contrast(_scores(after, topics), _scores(before, topics), "intervention")
    except DataError:  # no item is scored in both
        return _undefined(0, len(after))
    unit = "seeds" if found.n_seeds > 1 else "topics"
    return Estimate(found.difference, found.low, found.high, found.n_items, found.n_seeds, unit)


def _scores(values: Floats, topics: npt.NDArray[Any]) -> Scores:
    # From a grid to long rows, which is what the study's own statistics take.
    seeds, items = np.indices(values.shape).reshape(2, -1)
    return Scores(seeds, items, np.asarray(topics, dtype=object)[items], values.ravel())


def statistic_estimate(
    statistic: Callable[[Indices], Floats],
    topics: npt.NDArray[Any],
    limits: tuple[float, float] = (-np.inf, np.inf),
    change: Callable[[Floats], Floats] = np.asarray,
    back: Callable[[Floats], Floats] = np.asarray,
) -> Estimate:
    """Any statistic of items, one number a seed, with its interval.

    Its variance over topics is the delete-a-group jackknife's, (G-1)/G sum (t_g - t)^2 over G
    groups of topics (Efron and Tibshirani 1993, chapter 11). It is used rather than a bootstrap
    since a resample's repeated items are spuriously similar to themselves, which statistics of
    pairs of items (CKA, RSA) would count. Over seeds: `crossed.combine`, with the part that both
    variances hold taken out once.

    Args:
        statistic: indices of items -> (S,), one number a seed; nan where undefined.
        topics: (I,) the topic of each item.
        limits: of the statistic; the interval is cut there.
        change, back: to a scale where the statistic is closer to normal, and from it; 0 stays 0.
    """
    from scipy.special import stdtr, stdtrit

    everything = np.arange(len(topics))
    whole = statistic(everything)
    defined = np.isfinite(whole)
    seeds = int(defined.sum())
    if not seeds:
        return _undefined(len(topics), len(whole))
    # On the changed scale throughout, and back at the end: limits then can't leave the range.
    own = change(whole[defined])
    value = float(back(own.mean()[None])[0])
    # Topics dealt out in order of their names, to as many groups as the jackknife can afford.
    names, codes = np.unique(topics, return_inverse=True)
    groups = codes % min(len(names), GROUPS)
    count = int(groups.max()) + 1
    unit = "seeds" if seeds > 1 else "topics"
    if count < 2:
        return Estimate(value, None, None, len(topics), seeds, unit)
    without = [change(statistic(everything[groups != g])[defined]) for g in range(count)]
    parts = np.array(without)  # (G, S)
    # A statistic that some group carries alone (one item of a kind) has no jackknife.
    if not np.isfinite(parts).all():
        return Estimate(value, None, None, len(topics), seeds, unit)
    topic = _jackknife(parts.mean(axis=1))
    if seeds == 1:
        variance, df = topic, count - 1.0
    else:
        inside = float(np.mean([_jackknife(parts[:, s]) for s in range(seeds)]))
        # What the variance over seeds already holds of the topics' would else be counted twice.
        shared = max(0.0, inside - topic) / (seeds - 1)
        combined = combine(float(own.var(ddof=1)) / seeds, topic, shared, seeds, count)
        variance, df = combined.variance, combined.df
    # As of a mean: agreement to the last digit says nothing of how far others would lie apart.
    if variance <= NO_VARIANCE:
        return Estimate(value, None, None, len(topics), seeds, unit)
    error = float(np.sqrt(variance))
    half, middle = float(stdtrit(df, 0.975)) * error, float(own.mean())
    low, high = back(np.array([middle - half, middle + half]))
    # Student's interval knows no bounds; an AUROC over 1 would only puzzle.
    low, high = max(limits[0], float(low)), min(limits[1], float(high))
    p = min(1.0, 2.0 * float(stdtr(df, -abs(middle) / error)))
    return Estimate(value, low, high, len(topics), seeds, unit, p)


def _jackknife(parts: Floats) -> float:
    size = len(parts)
    return float((size - 1) / size * ((parts - parts.mean()) ** 2).sum())


def correlation(a: Floats, b: Floats) -> float:
    """Pearson's r of two (N,); nan where either doesn't vary."""
    x, y = a - a.mean(), b - b.mean()
    size = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / size if size > 1e-12 else float("nan")
