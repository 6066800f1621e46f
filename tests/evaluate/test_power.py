"""The plan's power figures against statsmodels where they overlap, and against simulated studies.

Left out: how `whyfirst plan` prints them.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whyfirst.config.errors import ConfigError
from whyfirst.stats.crossed import estimate
from whyfirst.stats.power import detectable, half_width, mde, seeds_needed
from whyfirst.stats.statistics import two_sided
from whyfirst.stats.worlds import Asked, spread
from whyfirst.stats.worlds import estimate as of_worlds

SPREADS = (0.1, 0.08, 0.5)


@pytest.mark.parametrize("n_seeds", [3, 8, 40])
def test_seed_noise_alone_parts_from_statsmodels(n_seeds: int) -> None:
    from statsmodels.stats.power import TTestPower

    effect = mde(0.1, 0.0, 0.0, n_seeds, 1, 100)
    expected = TTestPower().solve_power(nobs=n_seeds, alpha=0.05, power=0.8) * 0.1
    assert effect == pytest.approx(float(expected), rel=2e-3)


@pytest.mark.parametrize("n_topics", [20, 80])
def test_topic_noise_alone_parts_from_statsmodels(n_topics: int) -> None:
    from statsmodels.stats.power import TTestPower

    expected = TTestPower().solve_power(nobs=n_topics, alpha=0.05, power=0.8) * 0.2
    assert mde(0.0, 0.2, 0.0, 1, n_topics, 400) == pytest.approx(float(expected), rel=2e-3)


def simulated(effect: float, n_seeds: int, studies: int) -> np.ndarray:
    """Rows (p, half-width) of studies on 30 topics and 300 items with Gaussian noise."""
    rng = np.random.default_rng(n_seeds)
    seed_sd, topic_sd, residual_sd = SPREADS
    topics = np.repeat(np.arange(30), 10)
    rows = []
    for _ in range(studies):
        values = effect + seed_sd * rng.standard_normal((n_seeds, 1))
        values = values + np.repeat(topic_sd * rng.standard_normal((1, 30)), 10, axis=1)
        values = values + residual_sd * rng.standard_normal((n_seeds, 300))
        low, high, p = two_sided(estimate(values, topics), math.inf)
        rows.append((p, (high - low) / 2))
    return np.array(rows)


@pytest.mark.parametrize("n_seeds", [3, 8, 40])
def test_planned_effect_is_found_less_or_more_often_than_planned(n_seeds: int) -> None:
    effect = mde(*SPREADS, n_seeds, 30, 300)
    assert np.mean(simulated(effect, n_seeds, 1500)[:, 0] < 0.05) == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize("n_seeds", [8, 40])
def test_planned_half_width_is_exceeded_more_often_than_planned(n_seeds: int) -> None:
    planned = half_width(*SPREADS, n_seeds, 30, 300)
    widths = simulated(0.0, n_seeds, 1500)[:, 1]
    assert np.mean(widths <= planned) == pytest.approx(0.8, abs=0.05)


@settings(max_examples=40, deadline=None)
@given(
    st.floats(0.0, 0.3), st.floats(0.0, 0.2), st.floats(0.05, 0.7), st.floats(0.02, 0.2),
    st.booleans(),
)  # fmt: skip
def test_seeds_needed_is_one_too_many_or_too_few(
    seed_sd: float, topic_sd: float, residual_sd: float, goal: float, width: bool
) -> None:
    spreads = (seed_sd, topic_sd, residual_sd)
    reach = half_width if width else mde
    try:
        if width:
            needed = seeds_needed(*spreads, 40, 400, half_width=goal)
        else:
            needed = seeds_needed(*spreads, 40, 400, effect=goal)
    except ConfigError:
        assert reach(*spreads, 1000, 40, 400) > goal
        return
    assert needed >= 2
    assert reach(*spreads, needed, 40, 400) <= goal
    if needed > 2:
        assert reach(*spreads, needed - 1, 40, 400) > goal


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 60), st.floats(0.01, 0.3), st.floats(0.0, 0.3), st.floats(0.05, 0.7))
def test_more_seeds_make_a_study_weaker(
    n_seeds: int, seed_sd: float, topic_sd: float, residual_sd: float
) -> None:
    spreads = (seed_sd, topic_sd, residual_sd)
    assert mde(*spreads, n_seeds + 1, 30, 300) <= mde(*spreads, n_seeds, 30, 300) + 1e-12


def test_topics_that_bound_the_interval_are_answered_with_seeds() -> None:
    with pytest.raises(ConfigError, match="add topics or items"):
        seeds_needed(0.1, 0.3, 0.5, 20, 200, half_width=0.05)


def worlds_simulated(effect: float, n_worlds: int, studies: int) -> np.ndarray:
    """Rows (p, half-width) of studies of worlds on 30 topics of their own and 300 items."""
    rng = np.random.default_rng(n_worlds)
    seed_sd, topic_sd, residual_sd = SPREADS
    topics, nobody = np.repeat(np.arange(30), 10), np.zeros(300, dtype=np.intp)
    rows = []
    for _ in range(studies):
        values = effect + seed_sd * rng.standard_normal((n_worlds, 1))
        values = values + np.repeat(topic_sd * rng.standard_normal((n_worlds, 30)), 10, axis=1)
        values = values + residual_sd * rng.standard_normal((n_worlds, 300))
        low, high, p = two_sided(of_worlds(values, Asked(topics, nobody, nobody)), math.inf)
        rows.append((p, (high - low) / 2))
    return np.array(rows)


@pytest.mark.parametrize("n_worlds", [4, 12])
def test_worlds_are_planned_as_seeds_that_share_their_topics(n_worlds: int) -> None:
    effect = mde(*SPREADS, n_worlds, 30, 300, worlds=True)
    found = worlds_simulated(effect, n_worlds, 800)
    assert np.mean(found[:, 0] < 0.05) == pytest.approx(0.8, abs=0.05)
    planned = half_width(*SPREADS, n_worlds, 30, 300, worlds=True)
    assert np.mean(found[:, 1] <= planned) == pytest.approx(0.8, abs=0.05)


def test_no_number_of_worlds_is_said_to_help_although_each_brings_topics() -> None:
    """The same spreads of seeds that share topics have no answer."""
    needed = seeds_needed(0.1, 0.3, 0.5, 20, 200, half_width=0.05, worlds=True)
    assert half_width(0.1, 0.3, 0.5, needed, 20, 200, worlds=True) <= 0.05
    assert half_width(0.1, 0.3, 0.5, needed - 1, 20, 200, worlds=True) > 0.05


def test_impossible_plans_get_a_number() -> None:
    for design in ((0, 10, 10), (3, 10, 5), (1, 1, 10)):
        with pytest.raises(ConfigError, match="no design"):
            mde(0.1, 0.1, 0.5, *design)
    with pytest.raises(ConfigError, match="negative"):
        mde(-0.1, 0.1, 0.5, 3, 10, 100)
    with pytest.raises(ConfigError, match="all spreads are 0"):
        mde(0.0, 0.0, 0.0, 3, 10, 100)
    with pytest.raises(ConfigError, match="not both"):
        seeds_needed(0.1, 0.1, 0.5, 10, 100)
    with pytest.raises(ConfigError, match="above 0"):
        seeds_needed(0.1, 0.1, 0.5, 10, 100, effect=0.0)


def test_what_a_contrast_of_worlds_found_plans_the_same_contrast() -> None:
    """A world's mean was given for an item, and divided by the items once more: six times too
    little would have been asked for."""
    rng = np.random.default_rng(1)
    asked = Asked(np.tile(np.arange(32), 4), np.repeat(np.arange(4), 32), np.zeros(128, np.intp))
    values = 0.1 * rng.standard_normal((12, 1)) + 0.3 * rng.standard_normal((12, 128))
    found = of_worlds(values, asked)
    spreads = (found.seed_sd, found.topic_sd, found.residual_sd)
    own = detectable(found.variance, found.df)
    assert mde(*spreads, 12, 32, 128, worlds=True) == pytest.approx(own, rel=1e-9)
    assert found.residual_sd == pytest.approx(0.3, rel=0.1)
    apart = spread(found, 128.0, 2.2)
    assert apart.sd**2 == pytest.approx(apart.within_sd**2 + apart.between_sd**2)
