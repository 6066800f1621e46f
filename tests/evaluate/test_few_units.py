"""Few seeds or worlds: exact sign-flips, and intervals where everything agrees."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulation import World, simulate

from whyfirst.stats.scores import Scores
from whyfirst.stats.statistics import compare, mean_over_seeds, sign_flip, wilson


def test_sign_flips_by_hand() -> None:
    assert sign_flip([1.0, 2.0, 3.0]) == 2 / 8  # only +++ and --- are as far from 0
    assert sign_flip([1.0, 2.0, -3.0]) == 1.0  # a sum of 0: every other is as far
    assert sign_flip([3.0, 2.0, -1.0]) == 4 / 8  # +++ 6, ++- 4, and their mirrors
    assert sign_flip([0.1]) == 1.0 and sign_flip([]) is None and sign_flip([1.0] * 45) is None


@given(st.lists(st.floats(-1, 1).map(lambda x: round(x, 3)), min_size=1, max_size=8))
def test_it_is_the_share_of_all_sign_vectors(differences: list[float]) -> None:
    seen = abs(sum(differences))
    every = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(differences))
    ]
    expected = sum(one >= seen - 1e-9 for one in every) / len(every)
    assert sign_flip(differences) == pytest.approx(expected)
    assert sign_flip([-d for d in differences]) == sign_flip(differences)


def test_all_of_420_seeds_agree_and_the_interval_says_one_item() -> None:
    """One item a seed, 420 of 420 right: 20.6 to 100 % is one item's interval."""
    found = mean_over_seeds(Scores.from_rows((seed, "creed", "creed", 1.0) for seed in range(420)))
    assert found.high == 1.0 and found.low == pytest.approx(wilson(420, 420).low, abs=2e-4)


def test_seeds_of_two_kinds_are_told_apart_too_often_by_the_exact_test() -> None:
    """Each run took or did not, arms alike: the exact test keeps its level at any number."""
    rng = np.random.default_rng(3)
    for n_seeds in (6, 8):
        world = World((0.0, 0.0), 0.2, 0.4, n_seeds, 12, 4, modes=5.0)
        found = [compare(simulate(world, rng), "modes").exact_p for _ in range(300)]
        assert np.mean([p is not None and p <= 0.05 for p in found]) <= 0.075


def test_the_truth_of_seeds_of_two_kinds_is_the_mean_of_both() -> None:
    rng = np.random.default_rng(5)
    world = World((0.0,), 0.1, 0.3, 400, 30, 2, modes=4.0)
    assert simulate(world, rng).values.mean() == pytest.approx(world.pass_rate(0), abs=0.05)
