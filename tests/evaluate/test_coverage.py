"""The 95 % intervals and p-values of contrasts on simulated studies whose truth is known.

2,000 studies a figure; benchmarks/statistics_coverage.py prints the whole table. Left out:
arithmetic (test_statistics) and planning (test_power).
"""

from __future__ import annotations

import numpy as np
import pytest
from simulation import World, simulate

from whyfirst.stats.statistics import compare

# Forty seeds take a minute of the fast tests' eight, and nothing about them is special: three are
# the fewest anybody uses, eight what the galleries have.
SIZES = [(3, 25), (8, 25), pytest.param(40, 12, marks=pytest.mark.slow)]


def rates(world: World, studies: int, seed: int) -> tuple[float, float]:
    """Share of intervals that hold the truth, and share of p-values under 0.05."""
    rng = np.random.default_rng(seed)
    truth = world.pass_rate(0) - world.pass_rate(1)
    found = [compare(simulate(world, rng), "simulated") for _ in range(studies)]
    covered = float(np.mean([result.low <= truth <= result.high for result in found]))
    return covered, float(np.mean([result.p < 0.05 for result in found]))


@pytest.mark.parametrize(("n_seeds", "items"), SIZES)
def test_coverage_leaves_93_to_97_percent(n_seeds: int, items: int) -> None:
    world = World((0.8, 0.0), 0.6, 0.6, n_seeds, 20, items)
    covered, _ = rates(world, 2000, seed=n_seeds)
    assert 0.93 <= covered <= 0.97


@pytest.mark.parametrize(("n_seeds", "items"), SIZES)
def test_equal_arms_are_told_apart(n_seeds: int, items: int) -> None:
    covered, rejected = rates(
        World((0.0, 0.0), 0.6, 0.6, n_seeds, 20, items), 2000, seed=100 + n_seeds
    )
    assert rejected <= 0.06
    assert covered == pytest.approx(1.0 - rejected)


@pytest.mark.parametrize("n_seeds", [3, 8])
def test_seeds_of_two_kinds_leave_92_to_98_5_percent(n_seeds: int) -> None:
    """A training run that took and one that did not: seed means with two peaks."""
    world = World((0.8, 0.0), 0.3, 0.6, n_seeds, 20, 10, modes=5.0)
    covered, _ = rates(world, 600, seed=n_seeds)
    assert 0.92 <= covered <= 0.985


@pytest.mark.slow
@pytest.mark.parametrize("n_seeds", [3, 8, 40])
@pytest.mark.parametrize("spreads", [(0.3, 0.3), (0.3, 1.0), (1.0, 0.3), (1.0, 1.0)])
@pytest.mark.parametrize("design", [(20, 25), (60, 12)])
def test_coverage_leaves_its_range_at_other_spreads(
    n_seeds: int, spreads: tuple[float, float], design: tuple[int, int]
) -> None:
    # With 3 seeds that differ little beside the items' noise the interval is a little too careful:
    # its coverage there is 97.0 to 97.6 %.
    most = 0.98 if n_seeds == 3 and spreads[0] == 0.3 and design == (20, 25) else 0.97
    covered, _ = rates(World((0.8, 0.0), *spreads, n_seeds, *design), 2000, seed=7)
    _, rejected = rates(World((0.0, 0.0), *spreads, n_seeds, *design), 2000, seed=8)
    assert 0.93 <= covered <= most
    assert rejected <= 0.06


@pytest.mark.parametrize("n_seeds", [3, 8])
def test_interaction_of_equal_arms_is_called_real(n_seeds: int) -> None:
    assert rates(World((0.0,) * 4, 0.6, 0.6, n_seeds, 20, 25), 1000, seed=n_seeds)[1] <= 0.06
