"""Intervals, paired contrasts and corrections against hand values, scipy and statsmodels.

Left out: simulated studies (test_coverage), what a report prints.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whyfirst.config.errors import DataError
from whyfirst.stats.crossed import estimate
from whyfirst.stats.statistics import (
    Scores,
    contrast,
    holm,
    interaction,
    mcnemar_exact,
    mean_over_seeds,
    wilson,
)

counts = st.integers(0, 60)


def scores(rows: list[tuple[int, str, str, float | None]]) -> Scores:
    return Scores.from_rows(rows)


def random_scores(seed: int, n_seeds: int = 4, topics: int = 6, per_topic: int = 3) -> Scores:
    rng = np.random.default_rng(seed)
    return scores(
        [
            (s, f"i{t}.{i}", f"t{t}", float(rng.random() < 0.3 + 0.5 * t / topics))
            for s in range(n_seeds)
            for t in range(topics)
            for i in range(per_topic)
        ]
    )


def reordered(arm: Scores, order: np.ndarray) -> Scores:
    return Scores(arm.seeds[order], arm.items[order], arm.topics[order], arm.values[order])


# ---- one proportion -----------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(counts, counts)
def test_wilson_parts_from_statsmodels(passes: int, fails: int) -> None:
    from statsmodels.stats.proportion import proportion_confint

    if passes + fails == 0:
        return
    interval = wilson(passes, passes + fails)
    low, high = proportion_confint(passes, passes + fails, method="wilson")
    assert interval.low == pytest.approx(low, abs=1e-12)
    assert interval.high == pytest.approx(high, abs=1e-12)
    assert 0.0 <= interval.low <= interval.value <= interval.high <= 1.0


def test_wilson_has_no_length_at_none_or_all() -> None:
    square = 1.959963984540054**2
    none, every = wilson(0, 10), wilson(10, 10)
    assert none == pytest.approx((0.0, 0.0, square / (10 + square)), abs=1e-12)
    assert every == pytest.approx((1.0, 10 / (10 + square), 1.0), abs=1e-12)


def test_wilson_ignores_the_confidence_asked_for() -> None:
    assert wilson(5, 10, 0.99).low < wilson(5, 10).low < wilson(5, 10, 0.8).low


@pytest.mark.parametrize(("passes", "n"), [(0, 0), (3, 2), (-1, 4)])
def test_wilson_answers_for_a_proportion_that_is_none(passes: int, n: int) -> None:
    with pytest.raises(DataError, match="not a proportion"):
        wilson(passes, n)


# ---- McNemar and Holm ---------------------------------------------------------------------------


def test_mcnemar_parts_from_the_binomial_by_hand() -> None:
    # 1 of 6 discordant pairs: 2 * (1 + 6) / 2**6
    assert mcnemar_exact(1, 5) == pytest.approx(14 / 64)
    assert mcnemar_exact(0, 0) == 1.0
    assert mcnemar_exact(4, 4) == 1.0


@settings(deadline=None, max_examples=60)
@given(counts, counts)
def test_mcnemar_parts_from_statsmodels_and_scipy(b: int, c: int) -> None:
    from scipy.stats import binomtest
    from statsmodels.stats.contingency_tables import mcnemar

    ours = mcnemar_exact(b, c)
    assert ours == mcnemar_exact(c, b)
    if b + c:
        assert ours == pytest.approx(float(mcnemar([[5, b], [c, 7]], exact=True).pvalue), rel=1e-9)
        assert ours == pytest.approx(float(binomtest(b, b + c, 0.5).pvalue), rel=1e-9)


def test_holm_parts_from_the_hand_worked_case() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_parts_from_statsmodels_or_lowers_a_p(p_values: list[float]) -> None:
    from statsmodels.stats.multitest import multipletests

    adjusted = holm(p_values)
    assert adjusted == pytest.approx(list(multipletests(p_values, method="holm")[1]), abs=1e-12)
    assert all(after >= before for before, after in zip(p_values, adjusted, strict=True))


# ---- the crossed variance -----------------------------------------------------------------------


def test_crossed_variance_parts_from_hand_worked_anova() -> None:
    # Row means 1, 2, 3 and column means 1, 3 with cells row + column - 2: no interaction.
    values = np.array([[0.0, 2.0], [1.0, 3.0], [2.0, 4.0]])
    found = estimate(values, np.array(["x", "y"]))
    # seeds: var(1,2,3)/3 = 1/3; topics: var(1,3)/2 = 1; shared 0
    assert found.mean == 2.0
    assert found.variance == pytest.approx(1 / 3 + 1)
    assert found.seed_sd == pytest.approx(1.0)
    assert found.topic_sd == pytest.approx(math.sqrt(2.0))
    assert found.residual_sd == pytest.approx(0.0, abs=1e-7)
    # df: seeds count (3+3)/(3-1) = 3 times: (1 + 1)^2 / (1/2 + 1/1)
    assert found.df == pytest.approx(4 / 1.5)


def test_spreads_part_from_a_mixed_model_of_statsmodels() -> None:
    import pandas
    from statsmodels.regression.mixed_linear_model import MixedLM

    rng = np.random.default_rng(11)
    values = rng.normal(size=(8, 1)) + 2.0 * rng.normal(size=(1, 12)) + rng.normal(size=(8, 12))
    table = pandas.DataFrame(
        [(values[s, t], s, t, 1) for s in range(8) for t in range(12)],
        columns=["y", "seed", "topic", "one"],
    )
    model = MixedLM.from_formula(
        "y ~ 1", groups="one", data=table,
        vc_formula={"seed": "0 + C(seed)", "topic": "0 + C(topic)"},
    )  # fmt: skip
    fitted = model.fit(reml=True)
    found = estimate(values, np.arange(12))
    components = dict(zip(model.exog_vc.names, fitted.vcomp, strict=True))
    assert found.mean == pytest.approx(float(fitted.fe_params.iloc[0]), abs=1e-6)
    assert found.seed_sd**2 == pytest.approx(components["seed"], rel=1e-3)
    assert found.topic_sd**2 == pytest.approx(components["topic"], rel=1e-3)
    assert found.residual_sd**2 == pytest.approx(float(fitted.scale), rel=1e-3)
    assert math.sqrt(found.variance) == pytest.approx(float(fitted.bse_fe.iloc[0]), rel=1e-3)


def test_unequal_topics_bias_the_variance() -> None:
    rng = np.random.default_rng(3)
    sizes = np.array([1, 2, 3, 4, 5, 6, 7, 8])
    topics = np.repeat(np.arange(8), sizes)
    means, variances = [], []
    for _ in range(3000):
        effect = np.repeat(rng.normal(size=8), sizes)
        found = estimate((effect + rng.normal(size=(5, 1)))[:, :], topics)
        means.append(found.mean)
        variances.append(found.variance)
    assert np.mean(variances) == pytest.approx(np.var(means), rel=0.07)


def test_one_seed_is_called_a_sample_of_seeds() -> None:
    from scipy.stats import ttest_1samp

    arm_a, arm_b = random_scores(1, 1, 30, 1), random_scores(2, 1, 30, 1)
    found = contrast(arm_a, arm_b, "one seed")
    expected = ttest_1samp(arm_a.values - arm_b.values, 0.0)
    assert (found.unit, found.n_seeds) == ("topics", 1)
    assert found.p == pytest.approx(float(expected.pvalue))
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval()))


def test_one_topic_and_many_seeds_part_from_a_paired_t_test() -> None:
    from scipy.stats import ttest_rel

    a = scores([(s, "i", "t", value) for s, value in enumerate([0.9, 0.7, 0.8, 0.6])])
    b = scores([(s, "i", "t", value) for s, value in enumerate([0.5, 0.6, 0.6, 0.5])])
    found = contrast(a, b, "one topic")
    expected = ttest_rel(a.values, b.values)
    assert found.unit == "seeds"
    assert found.p == pytest.approx(float(expected.pvalue))
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval()))


# ---- contrasts ----------------------------------------------------------------------------------


def test_contrast_parts_from_the_hand_worked_table() -> None:
    names = ["p", "q", "r", "s"]
    first = {0: [1, 1, 1, 0], 1: [1, 1, 0, None]}
    second = {0: [0, 1, 0, 0], 1: [0, 1, 1, 1]}
    a = scores([(s, n, n, v) for s in first for n, v in zip(names, first[s], strict=True)])
    b = scores([(s, n, n, v) for s in second for n, v in zip(names, second[s], strict=True)])
    found = contrast(a, b, "hand")
    zero, one = found.per_seed
    assert zero == (0, 0.75, 0.25, 0.5, 4, 0, mcnemar_exact(2, 0))
    assert one == pytest.approx((1, 2 / 3, 2 / 3, 0.0, 3, 1, 1.0))
    assert found.difference == pytest.approx(0.25)
    assert (found.n_items, found.n_seeds, found.unscored) == (4, 2, 1)


def test_items_that_one_arm_lacks_are_paired_or_lost() -> None:
    a = scores([(0, "p", "t", 1.0), (0, "q", "u", 1.0), (1, "p", "t", 1.0)])
    b = scores([(0, "p", "t", 0.0), (1, "p", "t", 0.0), (1, "q", "u", 1.0), (2, "p", "t", 1.0)])
    found = contrast(a, b, "uneven")
    assert [row.seed for row in found.per_seed] == [0, 1]
    assert (found.n_items, found.unscored) == (1, 2)


def test_a_seed_without_a_pair_counts_as_a_seed() -> None:
    a = scores([(0, "p", "t", 1.0), (0, "q", "u", 0.0), (1, "p", "t", None), (1, "q", "u", None)])
    b = scores([(s, n, t, 0.0) for s in (0, 1) for n, t in (("p", "t"), ("q", "u"))])
    found = contrast(a, b, "gap")
    assert (found.n_seeds, found.unscored, found.unit) == (1, 2, "topics")


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 500), st.integers(0, 500))
def test_contrast_depends_on_row_order_or_direction(first: int, second: int) -> None:
    a, b = random_scores(first), random_scores(second)
    found = contrast(a, b, "x")
    order = np.random.default_rng(first + second).permutation(len(a.values))
    assert contrast(reordered(a, order), reordered(b, order[::-1]), "x") == found
    swapped = contrast(b, a, "x")
    assert swapped.difference == pytest.approx(-found.difference, abs=1e-15)
    assert (swapped.low, swapped.high) == pytest.approx((-found.high, -found.low), abs=1e-12)
    assert swapped.p == pytest.approx(found.p, rel=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(1, 6), st.integers(1, 3))
def test_p_contradicts_the_interval(seed: int, n_seeds: int, topics: int, per_topic: int) -> None:
    a = random_scores(seed, n_seeds, topics, per_topic)
    b = random_scores(seed + 1, n_seeds, topics, per_topic)
    found = contrast(a, b, "x")
    assert -1.0 <= found.low <= found.difference <= found.high <= 1.0
    assert 0.0 <= found.p <= 1.0
    assert 0.0 < found.mde <= 1.0
    assert (found.p < 0.05) == (found.low > 0.0 or found.high < 0.0)


def test_identical_arms_get_an_interval_without_length() -> None:
    same = random_scores(5)
    found = contrast(same, same, "same")
    assert (found.difference, found.p) == (0.0, 1.0)
    assert found.low < 0.0 < found.high


def test_arms_that_differ_everywhere_claim_certainty() -> None:
    base = random_scores(5)
    every = replace(base, values=np.ones(len(base.values)))
    none = replace(base, values=np.zeros(len(base.values)))
    found = contrast(every, none, "all")
    assert found.difference == found.high == 1.0
    assert found.low < 1.0
    assert found.p < 0.01


def test_topics_that_agree_claim_more_than_their_items_can() -> None:
    """One run, ten topics of which each lost two of its five items: ±0.4 points of nothing."""
    rows = [(0, f"i{t}.{i}", f"t{t}", i) for t in range(10) for i in range(5)]
    before = scores([(s, item, topic, 1.0) for s, item, topic, _ in rows])
    after = scores([(s, item, topic, float(i >= 2)) for s, item, topic, i in rows])
    found = contrast(after, before, "lost")
    assert found.difference == pytest.approx(-0.4)
    assert found.standard_error == pytest.approx(math.sqrt(0.4 * 0.6 * 50 / 49 / 50))
    arm = mean_over_seeds(after)
    assert found.high - found.low == pytest.approx(arm.high - arm.low, rel=0.1)


def test_deterministic_base_without_seed_noise_breaks_the_variance() -> None:
    one = random_scores(8, n_seeds=1)
    base = scores(
        [
            (s, str(item), str(topic), float(value))
            for s in range(3)
            for item, topic, value in zip(one.items, one.topics, one.values, strict=True)
        ]
    )
    found = contrast(base, random_scores(9, n_seeds=3), "base")
    assert found.unit == "seeds"
    assert 0.0 < found.high - found.low < 2.0


def test_interaction_parts_from_hand_worked_values() -> None:
    base = random_scores(1, n_seeds=2, topics=3, per_topic=1)
    arms = [
        replace(base, values=np.array(values, dtype=float))
        for values in ([1, 1, 0, 1, 1, 1], [0, 0, 0, 0, 1, 0], [1, 0, 0, 0, 0, 0], [0] * 6)
    ]
    found = interaction(*arms, "both")
    # both - documents = 1 1 0 | 1 0 1; demonstrations - neither = 1 0 0 | 0 0 0
    assert [row.a for row in found.per_seed] == pytest.approx([2 / 3, 2 / 3])
    assert [row.b for row in found.per_seed] == pytest.approx([1 / 3, 0.0])
    assert found.difference == pytest.approx(0.5)
    assert all(row.mcnemar_p is None for row in found.per_seed)


def test_scores_between_0_and_1_get_a_mcnemar_test() -> None:
    a = random_scores(1)
    half = replace(a, values=a.values / 2)
    assert all(row.mcnemar_p is None for row in contrast(a, half, "mc2").per_seed)


def test_bad_scores_are_compared() -> None:
    with pytest.raises(DataError, match="between 0 and 1"):
        scores([(0, "p", "t", 1.5)])
    with pytest.raises(DataError, match="scored twice"):
        _ = scores([(0, "p", "t", 1.0), (0, "p", "t", 0.0)]).grid
    with pytest.raises(DataError, match="two topics"):
        _ = scores([(0, "p", "t", 1.0), (1, "p", "u", 0.0)]).grid
    with pytest.raises(DataError, match="no seed in common"):
        contrast(scores([(0, "p", "t", 1.0)]), scores([(1, "p", "t", 1.0)]), "x")
    with pytest.raises(DataError, match="different topics"):
        contrast(scores([(0, "p", "t", 1.0)]), scores([(0, "p", "u", 1.0)]), "x")
    with pytest.raises(DataError, match="no item is scored"):
        contrast(scores([(0, "p", "t", None)]), scores([(0, "p", "t", 1.0)]), "x")
    with pytest.raises(DataError, match="one length"):
        Scores(np.arange(2), np.arange(3), np.arange(3), np.zeros(3))


# ---- one arm over seeds -------------------------------------------------------------------------


def test_mean_over_seeds_weighs_seeds_by_their_items() -> None:
    rows = [(0, f"i{i}", f"i{i}", 1.0) for i in range(9)] + [(0, "i9", "i9", 1.0)]
    rows += [(1, f"i{i}", f"i{i}", None) for i in range(9)] + [(1, "i9", "i9", 0.0)]
    assert mean_over_seeds(scores(rows)).value == pytest.approx(0.5)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 500), st.integers(1, 4), st.integers(1, 5), st.sampled_from([0.0, 1.0, None]))
def test_mean_over_seeds_leaves_0_to_1(
    seed: int, n_seeds: int, topics: int, constant: float | None
) -> None:
    arm = random_scores(seed, n_seeds, topics)
    if constant is not None:
        arm = replace(arm, values=np.full(len(arm.values), constant))
    interval = mean_over_seeds(arm)
    assert 0.0 <= interval.low <= interval.value <= interval.high <= 1.0
    assert interval.low < interval.high


def test_mean_of_no_scored_item_is_a_number() -> None:
    with pytest.raises(DataError, match="no item is scored"):
        mean_over_seeds(scores([(0, "p", "t", None)]))
