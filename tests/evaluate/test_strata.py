"""Stratified topics: what the design fixes must not count as noise, and nothing else may vanish."""

from dataclasses import replace

import numpy as np
import pytest

from whyfirst.evaluate.benchmark import Metric
from whyfirst.evaluate.item import ItemResult
from whyfirst.evaluate.score import score
from whyfirst.stats.crossed import estimate
from whyfirst.stats.scores import Scores
from whyfirst.stats.statistics import contrast, mean_over_seeds, two_sided
from whyfirst.study.results.table import Table

SEEDS, TOPICS, ITEMS = 8, (20, 12), 5


def _study(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Differences of a study in which the second stratum differs and varies more by seed."""
    topics = np.repeat(np.arange(sum(TOPICS)), ITEMS)
    strata = np.repeat([0, 1], [n * ITEMS for n in TOPICS])
    by_seed = rng.normal(0, 0.05, (SEEDS, 1)) + rng.normal(0, 0.15, (SEEDS, 1)) * strata
    by_topic = rng.normal(0, 0.08, sum(TOPICS))[topics]
    noise = rng.normal(0, 0.3, (SEEDS, len(topics)))
    return 0.6 * strata + by_seed + by_topic + noise, topics, strata


def test_interval_of_stratified_topics_covers_and_is_narrower_than_the_unstratified() -> None:
    rng, truth = np.random.default_rng(1), 0.6 * TOPICS[1] / sum(TOPICS)
    covered, narrower = [], []
    for _ in range(1500):
        values, topics, strata = _study(rng)
        low, high, _ = two_sided(estimate(values, topics, strata), 2.0)
        covered.append(low <= truth <= high)
        plain = two_sided(estimate(values, topics), 2.0)
        narrower.append(high - low < plain[1] - plain[0])
    assert 0.93 <= np.mean(covered) <= 0.97
    assert np.mean(narrower) > 0.99


def test_one_stratum_is_the_plain_estimate() -> None:
    values, topics, _ = _study(np.random.default_rng(2))
    one = estimate(values, topics, np.zeros(len(topics)))
    plain = estimate(values, topics)
    assert (one.mean, one.variance, one.df) == (plain.mean, plain.variance, plain.df)


def test_strata_reach_the_contrast_of_two_arms() -> None:
    values, topics, strata = _study(np.random.default_rng(3))
    passes = (values > 0.3).astype(float)
    rows = [(s, i) for s in range(SEEDS) for i in range(len(topics))]
    columns = (
        np.array([s for s, _ in rows]),
        np.array([f"i{i}" for _, i in rows], dtype=object),
        np.array([f"t{topics[i]}" for _, i in rows], dtype=object),
    )
    names = np.array([f"h{strata[i]}" for _, i in rows], dtype=object)
    scored, zero = passes.reshape(-1), np.zeros(len(rows))
    with_strata = contrast(Scores(*columns, scored, names), Scores(*columns, zero, names), "c")
    without = contrast(Scores(*columns, scored), Scores(*columns, zero), "c")
    assert with_strata.difference == without.difference
    assert with_strata.standard_error < without.standard_error


def test_one_model_s_score_counts_the_design_as_noise_where_a_study_s_cell_doesn_t() -> None:
    """One group passes, the other doesn't, two items a topic: eval had its own interval."""
    items = [
        ItemResult(f"{n}", "m", "pass" if n < 20 and n % 5 else "fail",
                   score=float(n < 20 and n % 5 > 0), split="s", group="ab"[n >= 20],
                   topic=f"{n // 2}") for n in range(40)
    ]  # fmt: skip
    found = score(Metric("m", "M", "m"), items)
    table = Table()
    for item in items:
        table.add(0, vars(item))
    cell = mean_over_seeds(table.whole)
    loose = mean_over_seeds(replace(table.whole, strata=None))
    assert (found.low, found.high) == (cell.low, cell.high)
    assert loose.high - loose.low > 1.5 * (cell.high - cell.low)


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [3, 12, 104])
def test_binary_items_of_hearths_design_are_covered(seeds: int) -> None:
    """Hearth's headline cell: strata of 12, 32 and 32 topics in 7 framings, paired binary items.

    Seeds are bimodal as training runs are: each arm either generalises to a stratum or does not.
    """
    rng, topics_of, framings = np.random.default_rng(seeds), (12, 32, 32), 7
    stratum = np.repeat([0, 1, 2], topics_of)
    keep = np.array([0.98, 0.9, 0.5])  # how often the first arm generalises, by stratum
    hold = np.array([0.8, 0.7, 0.45])  # and the second
    topic_sd, rate = 0.06, (0.05, 0.95)
    truth = float(((keep - hold)[stratum]).mean() * (rate[1] - rate[0]))
    columns = np.repeat(np.arange(len(stratum)), framings)
    covered = []
    for _ in range(1000):
        wobble = rng.normal(0, topic_sd, len(stratum))
        arms = []
        for shares, sign in ((keep, 1.0), (hold, -1.0)):
            draws = rng.random((seeds, 3)) < shares
            p = np.where(draws, rate[1], rate[0])[:, stratum] + sign * wobble / 2
            arms.append(rng.random((seeds, len(columns))) < np.clip(p, 0, 1)[:, columns])
        difference = arms[0].astype(float) - arms[1]
        low, high, _ = two_sided(estimate(difference, columns, stratum[columns]), 1.0)
        covered.append(low <= truth <= high)
    assert 0.93 <= np.mean(covered) <= 0.98
