"""Worlds as the unit: one number a world, its interval, its exact test, what a new world shows."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from simulation import Worlds, simulate_worlds

from whyfirst.stats.scores import Paired, Scores
from whyfirst.stats.statistics import Contrast, compare, contrast, mean_over_seeds, wilson
from whyfirst.stats.worlds import Asked, sign_flip


def _worlds(values: list[list[float]]) -> Paired:
    """Two arms, the second always 0, over worlds x items."""
    first = np.array(values)
    items = first.shape[1]
    both = np.stack([first, np.zeros_like(first)])
    present = np.ones(both.shape, dtype=np.bool_)
    return Paired(
        tuple(range(len(values))), np.arange(items), both, present, np.zeros(items), worlds=True
    )


def test_one_number_a_world_by_hand() -> None:
    found = compare(_worlds([[1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 0]]), "c")
    numbers = [0.5, 0.25, 0.75]
    t = stats.ttest_1samp(numbers, 0.0)
    assert (found.unit, found.n_seeds, found.df) == ("worlds", 3, 2.0)
    assert found.difference == pytest.approx(0.5) and found.p == pytest.approx(t.pvalue)
    low, _ = t.confidence_interval()
    assert (found.low, found.high) == pytest.approx((low, 1.0))  # cut at the end of the scale
    assert found.worlds is not None and found.exact_p == 0.25
    reach = stats.t.ppf(0.975, 2) * 0.25 * math.sqrt(1 + 1 / 3)
    assert found.worlds.new_high == pytest.approx(0.5 + reach)
    assert (found.worlds.above, found.worlds.below) == (3, 0)


def test_items_and_topics_of_a_world_add_nothing_to_what_is_known_of_worlds() -> None:
    """Were the same topic's items of several worlds taken for one topic, they would."""
    few = compare(_worlds([[1, 0], [0, 0], [1, 1]]), "few")
    many = compare(_worlds([[1, 0] * 50, [0, 0] * 50, [1, 1] * 50]), "many")
    assert (few.low, few.high, few.p) == pytest.approx((many.low, many.high, many.p))


def test_a_world_that_an_arm_gives_nothing_in_is_named_and_not_only_left_out() -> None:
    rows = [(seed, item, item, 1.0) for seed in range(3) for item in ("x", "y")]
    nothing = [(seed, item, topic, None if seed == 1 else 0.0) for seed, item, topic, _ in rows]
    found = contrast(Scores.from_rows(rows), Scores.from_rows(nothing), "c")
    assert found.dropped == (1,) and found.n_seeds == 2


def test_exact_p_of_forty_worlds_is_that_of_all_two_to_the_forty() -> None:
    """Of 40 equal numbers the sum of signs is binomial, so the share is known."""
    for n, above in ((20, 15), (40, 28)):
        numbers = [1.0] * above + [-1.0] * (n - above)
        assert sign_flip(numbers) == pytest.approx(stats.binomtest(above, n).pvalue)
    assert sign_flip([0.3] * 40) == 2.0**-39


def test_both_halves_of_the_meeting_sums_are_counted() -> None:
    rng = np.random.default_rng(0)
    for n in (1, 2, 5, 9, 12):
        values = rng.normal(0.3, 1.0, n).round(2)
        signs = 1 - 2 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
        share = np.mean(np.abs(signs @ values) >= abs(values.sum()) - 1e-9)
        assert sign_flip(values) == pytest.approx(share)


def test_worlds_that_all_agree_are_worth_worlds_times_topics() -> None:
    rows = [(w, f"{t}/{f}", f"deed {t}", 1.0) for w in range(4) for t in range(5) for f in range(7)]
    plain = Scores.from_rows(rows)
    found = mean_over_seeds(
        Scores(plain.seeds, plain.items, plain.topics, plain.values, None, True)
    )
    # 20 deeds, not 140 answers; Student's quantile at 3 degrees of freedom, not the normal's
    assert found.high == 1.0 and 0.6 < found.low < wilson(20, 20).low


def test_what_cannot_move_halves_the_difference_and_is_told_apart() -> None:
    rng = np.random.default_rng(1)
    truth = Worlds((2.0, 0.0), 0.0, 0.0, 0.0, 30, 4, 40, base=-1.0, stuck=0.5)
    lined_up, asked = simulate_worlds(truth, rng)
    found = compare(lined_up, "c", asked)
    assert set(found.by_kind) == {"False", "True"}
    assert found.by_kind["True"].difference == 0.0
    assert found.difference == pytest.approx(found.by_kind["False"].difference / 2)


def test_the_spread_between_worlds_is_told_from_the_draw_of_newcomers_and_topics() -> None:
    """No world differs: what the numbers spread by is all whom and what was asked."""
    rng = np.random.default_rng(2)
    shares = []
    for world_sd in (0.0, 1.0):
        truth = Worlds((0.0, 0.0), world_sd, 0.5, 0.5, 200, 4, 16)
        spread = compare(*_named(simulate_worlds(truth, rng))).worlds
        assert spread is not None
        shares.append(spread.between_sd**2 / spread.sd**2)
    assert shares[0] < 0.2 and shares[1] > 0.9


def _named(drawn: tuple[Paired, Asked]) -> tuple[Paired, str, Asked]:
    return drawn[0], "simulated", drawn[1]


def _studies(truth: Worlds, count: int, seed: int) -> list[Contrast]:
    rng = np.random.default_rng(seed)
    return [compare(*_named(simulate_worlds(truth, rng))) for _ in range(count)]


@pytest.mark.parametrize(
    ("n_worlds", "modes", "least"),
    [(4, 0.0, 0.925), (12, 0.0, 0.925), (20, 0.0, 0.925), (8, 4.0, 0.92), (20, 4.0, 0.925)],
)
def test_intervals_cover_what_is_so_in_all_worlds(
    n_worlds: int, modes: float, least: float
) -> None:
    """400 studies without effect, worlds of one kind or of two, half of the newcomers stuck."""
    truth = Worlds((0.0, 0.0), 0.8, 0.5, 0.5, n_worlds, 4, 8, modes=modes, stuck=0.5)
    found = _studies(truth, 400, n_worlds)
    covered = np.mean([one.low <= 0.0 <= one.high for one in found])
    assert least <= covered <= 0.99
    # The exact test keeps its level whatever the shape.
    assert np.mean([(one.exact_p or 1.0) <= 0.05 for one in found]) <= 0.075


def test_a_new_world_lies_in_the_prediction_interval_as_often_as_it_says() -> None:
    truth, rng = Worlds((1.0, 0.0), 0.8, 0.5, 0.5, 13, 4, 8), np.random.default_rng(9)
    inside = []
    for _ in range(300):
        every, asked = simulate_worlds(truth, rng)
        known = replace(
            every, seeds=every.seeds[:12], values=every.values[:, :12],
            present=every.present[:, :12],
        )  # fmt: skip
        told = compare(known, "twelve", asked).worlds
        assert told is not None
        new = compare(every, "thirteen", asked).per_seed[-1].difference
        inside.append(told.new_low <= new <= told.new_high)
    assert 0.92 <= np.mean(inside) <= 0.985


def test_three_worlds_of_two_kinds_are_told_by_no_exact_test() -> None:
    """Where a run took or didn't, three worlds may agree by luck: 2/8 is the least p there is."""
    truth = Worlds((0.0, 0.0), 0.2, 0.2, 0.2, 3, 4, 8, modes=6.0)
    assert min(one.exact_p or 0.0 for one in _studies(truth, 100, 4)) >= 0.25
