"""The variance of a mean over crossed random seeds and topics.

Every seed answers the same topics, so an item's value has two clustered sources of noise: the
training run (seed) and the choice of topics. This module estimates both from a seeds × items
matrix, adds them, and says how many degrees of freedom the sum has. `statistics` turns that into
intervals and p-values; `power` runs the same formula forwards, before the data exist.

Left out: a logistic link (the mean is on the fraction scale, where effects are reported), more
than two crossed factors, and resampling: with three seeds a hierarchical bootstrap's 95 % interval
covers 72 to 92 % (docs/statistics.md), which no number of resamples mends.

Source: crossed random-effects ANOVA with Satterthwaite's degrees of freedom (Satterthwaite 1946;
Searle, Casella and McCulloch, Variance Components, 1992, chapter 4); weights for unequal topics as
in the two-way cluster-robust variance of Cameron, Gelbach and Miller (2011).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Unit = Literal["worlds", "seeds", "topics", "items"]
Floats = npt.NDArray[np.float64]

# A variance below this is rounding: every seed and topic agreed exactly.
NO_VARIANCE = 1e-14


@dataclass(frozen=True)
class Combined:
    """A variance of the mean and its degrees of freedom."""

    variance: float
    df: float


@dataclass(frozen=True)
class CrossedEstimate:
    """The mean over seeds and topics with its uncertainty.

    Attributes:
        mean: equal-weight mean of the seeds' means.
        variance: variance of `mean` (squared fractions), never 0: see `estimate`.
        df: degrees of freedom of `variance`; 0 when nothing can be estimated (one value).
        seed_means: one mean a seed, shape (S,).
        seed_sd: standard deviation of the true seed means (fractions; 0 where S = 1).
        topic_sd: standard deviation of the true topic means, what persists over seeds.
        residual_sd: standard deviation of one value within seed and topic.
        unit: what the interval generalises over: "seeds" (and topics), "topics" where there is
            one seed, "items" where there is one seed and one topic; "worlds" (see `worlds`).
        degenerate: all seeds and topics agreed exactly, and `variance` is the floor.
    """

    mean: float
    variance: float
    df: float
    seed_means: Floats
    seed_sd: float
    topic_sd: float
    residual_sd: float
    unit: Unit
    degenerate: bool


def combine(seed: float, topic: float, shared: float, n_seeds: float, n_topics: float) -> Combined:
    """Add the two clustered variances of the mean and find the sum's degrees of freedom.

    `seed`, `topic` and `shared` are the mean squares of seeds, topics and seeds × topics, each
    divided by the number of cells. The noise inside a cell is in both of the first two, so the
    variance is seed + topic − shared, and no less than either. Satterthwaite's df are
    V² / (seed²/(S−1) + topic²/(T−1) + shared²/((S−1)(T−1))).

    With few seeds that plug-in is too bold: a small draw of the seed term shrinks the variance and
    raises the df at once (coverage falls to 92 % at 3 seeds). For the df alone the seed term is
    therefore counted (S+3)/(S−1) times: 3 at three seeds, 1.6 at eight, 1.1 at forty. The factor
    was chosen by simulation (benchmarks/statistics_coverage.py) and vanishes as seeds are added.
    """
    seed_df, topic_df = n_seeds - 1.0, n_topics - 1.0
    # A small draw of one term less `shared` could fall below the other, or below 0.
    variance = max(seed + topic - shared, seed, topic)
    smallest = min(seed_df, topic_df)
    if variance <= NO_VARIANCE:
        return Combined(variance, smallest)
    cautious = seed * (1.0 + 4.0 / seed_df)
    total = max(cautious + topic - shared, cautious, topic)
    spread = cautious**2 / seed_df + topic**2 / topic_df + shared**2 / (seed_df * topic_df)
    return Combined(variance, max(total**2 / spread, smallest))


def estimate(
    values: Floats, topics: npt.NDArray[Any], strata: npt.NDArray[Any] | None = None
) -> CrossedEstimate:
    """Estimate the mean of a seeds × items matrix over random seeds and random topics.

    Args:
        values: shape (S, I), fractions or their differences; nan where not scored. Every row
            needs at least one number.
        topics: shape (I,), the topic of each item.
        strata: shape (I,), the stratum of each item (a topic lies in one). Where a design fixes
            how many topics each stratum has, differences between strata are no sampling noise:
            topics are then random within their stratum, and the stratified variance
            sum_h W_h² V_h is used (Cochran, Sampling Techniques, 1977, chapter 5).

    Where every seed and topic agrees exactly the variance is not 0 but that of I independent items
    of the spread seen, and at least 1/I²: no interval is narrower than one item's outcome.
    """
    cells, counts, stratum = _cells(values, topics, strata)
    # One seed on one topic: the items are all that is left to vary.
    if values.shape[0] == 1 and cells.shape[1] == 1:
        cells, counts, stratum = _cells(values, np.arange(values.shape[1]), strata)
        unit: Unit = "items"
    else:
        unit = "topics" if values.shape[0] == 1 else "seeds"
    n_seeds = cells.shape[0]
    share = counts / counts.sum(axis=1, keepdims=True)
    seed_means = cells.sum(axis=1) / counts.sum(axis=1)
    mean = float(seed_means.mean())
    seed, topic, shared, effective = _mean_squares(cells, counts, share, mean)
    free = effective
    parts = [counts[:, stratum == h] for h in np.unique(stratum)]
    # Strata count only where each has two topics and a score from every seed.
    if len(parts) > 1 and all(p.shape[1] > 1 and p.sum(axis=1).all() for p in parts):
        topic, shared, free = _within_strata(cells, counts, stratum)
    if n_seeds == 1:
        combined = Combined(topic, free - 1.0)
    elif cells.shape[1] == 1:
        combined = Combined(seed, n_seeds - 1.0)
    else:
        combined = combine(seed, topic, shared, n_seeds, free)
    degenerate = combined.variance <= NO_VARIANCE
    # Scored items a seed: from the mean square of cells back to the spread of one value.
    per_seed = float(np.isfinite(values).sum()) / n_seeds
    return CrossedEstimate(
        mean=mean,
        variance=agreed_variance(values) if degenerate else combined.variance,
        df=combined.df,
        seed_means=seed_means,
        seed_sd=float(np.sqrt(max(seed - shared, 0.0) * n_seeds)),
        topic_sd=float(np.sqrt(max(topic - shared, 0.0) * effective)),
        residual_sd=float(np.sqrt(shared * n_seeds * per_seed)),
        unit=unit,
        degenerate=degenerate,
    )


def of_sum(sums: Floats, groups: Sequence[tuple[Floats, npt.NDArray[Any]]]) -> Combined:
    """The variance of the mean over seeds of a sum (or difference) of groups' means.

    Each group is answered by the same seeds on topics of its own, so the topics' terms add up as
    those of strata do, and the seeds' is that of the sum, what groups share within a seed included.
    `df` is 0 where a group has one topic: nothing is then known of others.

    Args:
        sums: shape (S,), each seed's sum, S of at least 2.
        groups: for each a seeds × items matrix (S, I), nan where not scored, and its items' topics
            (I,). Every row needs at least one number.
    """
    n_seeds = len(sums)
    seed = float(sums.var(ddof=1)) / n_seeds
    terms = []
    for values, topics in groups:
        cells, counts, _ = _cells(values, topics, None)
        terms.append((1.0, *_topic_terms(cells, counts)))
    if min(effective for *_, effective in terms) <= 1.0:
        return Combined(seed, 0.0)
    topic, shared, free = _add_terms(terms)
    return combine(seed, topic, shared, n_seeds, free)


def agreed_variance(values: Floats) -> float:
    """The variance of the mean where seeds and topics agree exactly: that of independent items of
    the spread seen, and at least 1/I² (no interval is narrower than one item's outcome)."""
    items = np.nanmean(values[:, np.isfinite(values).any(axis=0)], axis=0)
    spread = float(items.var(ddof=1)) / len(items) if len(items) > 1 else 0.0
    return max(spread, 1.0 / float(values.shape[1]) ** 2)


def cells_of(
    values: Floats, seeds: npt.NDArray[Any], topics: npt.NDArray[Any]
) -> tuple[Floats, Floats]:
    """Sums and counts, (S, T) each, of scores (N,) by the seed and topic beside them."""
    rows, row = np.unique(seeds, return_inverse=True)
    columns, column = np.unique(topics, return_inverse=True)
    sums, counts = np.zeros((2, len(rows), len(columns)))
    np.add.at(sums, (row, column), values)
    np.add.at(counts, (row, column), 1.0)
    return sums, counts


def variance_of_cells(cells: Floats, counts: Floats) -> float:
    """The variance of the mean over random seeds and topics, from `cells_of` (nothing empty)."""
    share = counts / counts.sum(axis=1, keepdims=True)
    mean = float((cells.sum(axis=1) / counts.sum(axis=1)).mean())
    seed, topic, shared, effective = _mean_squares(cells, counts, share, mean)
    if min(cells.shape) == 1:
        return seed + topic
    return combine(seed, topic, shared, cells.shape[0], effective).variance


def _within_strata(
    cells: Floats, counts: Floats, stratum: npt.NDArray[np.intp]
) -> tuple[float, float, float]:
    """The topic and shared terms summed over strata, and one more than the topics' df."""
    weights = (counts / counts.sum(axis=1, keepdims=True)).mean(axis=0)
    return _add_terms([
        (float(weights[own].sum()), *_topic_terms(cells[:, own], counts[:, own]))
        for own in (stratum == h for h in np.unique(stratum))
    ])  # fmt: skip


def _topic_terms(cells: Floats, counts: Floats) -> tuple[float, float, float]:
    """One group's topic and shared terms, and its effective number of topics."""
    mean = float((cells.sum(axis=1) / counts.sum(axis=1)).mean())
    share = counts / counts.sum(axis=1, keepdims=True)
    return _mean_squares(cells, counts, share, mean)[1:]


def _add_terms(terms: Sequence[tuple[float, float, float, float]]) -> tuple[float, float, float]:
    """The sums of groups' topic and shared terms, each given as (weight, topic, shared, effective
    topics), and one more than Satterthwaite's df of the first."""
    topic = sum(weight**2 * of_topics for weight, of_topics, _, _ in terms)
    shared = sum(weight**2 * of_cells for weight, _, of_cells, _ in terms)
    spread = sum(
        (w**2 * of_topics) ** 2 / (effective - 1.0) for w, of_topics, _, effective in terms
    )
    most = sum(effective - 1.0 for *_, effective in terms)
    df = topic**2 / spread if spread > NO_VARIANCE**2 else most
    return topic, shared, max(df, 1.0) + 1.0


def _cells(
    values: Floats, topics: npt.NDArray[Any], strata: npt.NDArray[Any] | None
) -> tuple[Floats, Floats, npt.NDArray[np.intp]]:
    """Sum and count the scored values of each (seed, topic) cell, (S, T), with its stratum (T,).

    Topics without a score go.
    """
    names, codes = np.unique(topics, return_inverse=True)
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], np.arange(len(names)))
    ordered = values[:, order]
    scored = np.isfinite(ordered)
    sums = np.add.reduceat(np.where(scored, ordered, 0.0), starts, axis=1)
    counts = np.add.reduceat(scored.astype(np.float64), starts, axis=1)
    # A topic without a score would count as one whose sum is 0.
    kept = counts.sum(axis=0) > 0
    stratum = np.zeros(len(names), dtype=np.intp)
    if strata is not None:
        stratum = np.unique(strata, return_inverse=True)[1][order][starts]
    return sums[:, kept], counts[:, kept], stratum[kept]


def _mean_squares(
    cells: Floats, counts: Floats, share: Floats, mean: float
) -> tuple[float, float, float, float]:
    """Return the seed, topic and shared terms of `combine` and the effective number of topics.

    Topics weigh what their items weigh. With equal topics the terms are the ANOVA mean squares over
    the number of cells; with unequal ones the correction makes each unbiased where topics spread
    alike, and the effective number is Kish's 1/Σw².
    """
    n_seeds = cells.shape[0]
    parts = (cells - counts * mean) / counts.sum(axis=1, keepdims=True)
    weights = share.mean(axis=0)
    seed_parts, topic_parts = parts.sum(axis=1), parts.mean(axis=0)
    squares = float((weights**2).sum())
    effective = 1.0 / squares
    if len(weights) == 1:
        seed = float((seed_parts**2).sum()) / (n_seeds * (n_seeds - 1)) if n_seeds > 1 else 0.0
        return seed, 0.0, 0.0, 1.0
    # A topic's deviation is from a mean that it takes part in, the more the heavier it is.
    correction = squares / (squares - 2.0 * float((weights**3).sum()) + squares**2)
    topic = float((topic_parts**2).sum()) * correction
    if n_seeds == 1:
        return 0.0, topic, 0.0, effective
    seed = float((seed_parts**2).sum()) / (n_seeds * (n_seeds - 1))
    remainder = parts - share * (seed_parts[:, None] + (topic_parts / weights)[None, :])
    shared = float((remainder**2).sum()) * correction / (n_seeds * (n_seeds - 1))
    return seed, topic, shared, effective
