"""Gaps between groups against hand-computed values, and their coverage's conservative side."""

import math

import numpy as np
import pytest
from scipy.stats import t, ttest_ind

from whyfirst.evaluate.gaps import Gap, gaps_to, over_seeds, range_gaps
from whyfirst.evaluate.item import ItemResult, judged, unscored


def _items(groups: dict[str, list[float]], topics: int | None = None) -> list[ItemResult]:
    return [
        ItemResult(f"{group}{n}", "m", "pass", score=score, group=group, split="s",
                   topic=f"{group}{n if topics is None else n % topics}")
        for group, scores in groups.items()
        for n, score in enumerate(scores)
    ]  # fmt: skip


def test_newcombe_s_published_example() -> None:
    """56/70 against 48/80: 0.2000, interval 0.0524 to 0.3339 (Newcombe 1998, method 10)."""
    items = [judged(f"a{n}", "m", n < 56, group="a") for n in range(70)]
    items += [judged(f"b{n}", "m", n < 48, group="b") for n in range(80)]
    items += [unscored("u", "m", "x", group="a"), judged("free", "m", True)]
    (gap,) = gaps_to(items, "b")
    assert gap.between == ("a", "b")
    assert (gap.value, gap.low, gap.high) == (
        pytest.approx(0.2), pytest.approx(0.0524, abs=1e-4), pytest.approx(0.3339, abs=1e-4),
    )  # fmt: skip


def test_two_groups_give_welch_s_interval() -> None:
    left, right = [0.9, 0.7, 0.8, 0.95], [0.2, 0.5, 0.3]
    (gap,) = range_gaps(_items({"a": left, "b": right}))
    expected = ttest_ind(left, right, equal_var=False).confidence_interval(0.95)
    assert gap.value == pytest.approx(np.mean(left) - np.mean(right))
    assert (gap.low, gap.high) == (pytest.approx(expected.low), pytest.approx(expected.high))


def test_more_groups_widen_the_interval_by_the_number_of_pairs() -> None:
    groups = {"a": [0.9, 0.7, 0.8], "b": [0.2, 0.5, 0.3], "c": [0.5, 0.6, 0.7]}
    (gap,) = range_gaps(_items(groups))
    assert gap.between == ("a", "b")
    limits = []
    for high, low in (("a", "b"), ("a", "c"), ("c", "b")):
        one, two = np.array(groups[high]), np.array(groups[low])
        v1, v2 = one.var(ddof=1) / 3, two.var(ddof=1) / 3
        df = (v1 + v2) ** 2 / (v1**2 / 2 + v2**2 / 2)
        half = t.ppf(1 - 0.05 / 3 / 2, df) * math.sqrt(v1 + v2)
        limits.append((one.mean() - two.mean() - half, one.mean() - two.mean() + half))
    assert gap.low == pytest.approx(max(0.0, *(low for low, _ in limits)))
    assert gap.high == pytest.approx(min(1.0, max(high for _, high in limits)))


def test_items_of_one_topic_are_taken_together() -> None:
    """Twice the items of the same topics must not narrow the interval."""
    once = {"a": [0.9, 0.7, 0.8, 0.95], "b": [0.2, 0.5, 0.3, 0.4]}
    twice = {name: scores * 2 for name, scores in once.items()}
    (alone,), (doubled,) = range_gaps(_items(once)), range_gaps(_items(twice, topics=4))
    assert (doubled.low, doubled.high) == (pytest.approx(alone.low), pytest.approx(alone.high))


def test_what_limits_a_gap_is_told() -> None:
    items = _items({"a": [0.1, 0.2, 0.3], "b": [0.4, 0.5], "c": [0.9]})
    (gap,) = range_gaps(items)
    assert gap.between == ("b", "a")
    assert gap.note == "one scored item: c"
    (gap,) = range_gaps(_items({"a": [0.1, 0.2], "b": [0.4, 0.5]}, topics=1))
    assert gap.note == "one topic, its items taken as independent: a, b"
    assert range_gaps(_items({"a": [0.1, 0.2]})) == []


def test_the_interval_of_the_range_covers_although_the_extremes_were_chosen() -> None:
    """Equal groups: the true range is 0, and an interval of the extreme pair alone misses it."""
    rng = np.random.default_rng(0)
    hits, trials = 0, 200
    for _ in range(trials):
        groups = {g: list(rng.uniform(0.3, 0.7, 12)) for g in "abcdef"}
        (gap,) = range_gaps(_items(groups))
        hits += gap.low == 0.0
    assert hits / trials >= 0.93


def test_the_lowest_seed_speaks_for_all() -> None:
    """Gaps .1, .2 and .3 of three runs: mean .2, Student's 4.303 times .1 / sqrt(3)."""

    def gap(value: float, note: str, groups: int = 2) -> Gap:
        return Gap("m", None, ("a", "b"), value, -1.0, 1.0, groups, note)

    runs = [[gap(v, "over items"), gap(v, "over topics")] for v in (0.1, 0.2, 0.3)]
    (found,) = over_seeds(runs)
    assert found.value == pytest.approx(0.2) and found.note == "interval over 3 seeds"
    assert (found.low, found.high) == pytest.approx((-0.048, 0.448), abs=5e-4)
    assert over_seeds(runs[:1]) == over_seeds([runs[0], runs[0]]) == []
    assert over_seeds([[gap(v, "", groups=3)] for v in (0.1, 0.2)]) == []


def test_two_groups_that_change_places_from_run_to_run_have_no_gap() -> None:
    """A range names the larger group first: by the name of each order, every run would be above 0
    and a difference of nothing would be found twice, once in either direction."""
    higher = (0.2, -0.2, 0.1, -0.1)
    runs = [
        range_gaps(_items({"a": [0.4 + max(d, 0), 0.5 + max(d, 0)],
                           "b": [0.4 - min(d, 0), 0.5 - min(d, 0)]}))
        for d in higher
    ]  # fmt: skip
    assert [gap.between[0] for (gap,) in runs] == ["a", "b", "a", "b"]
    (found,) = over_seeds(runs)
    assert found.value == pytest.approx(0) and found.low < 0 < found.high
    assert found.note == "interval over 4 seeds"


def test_of_two_estimates_of_one_gap_the_same_is_taken_in_every_run() -> None:
    """Momentum's second is over transitions, another number, and a run may lack it."""

    def gap(value: float) -> Gap:
        return Gap("m", "momentum", ("after a right fact", "after a wrong one"), value, -1, 1, 2)

    (found,) = over_seeds([[gap(0.1), gap(0.9)], [gap(0.3)]])
    assert found.value == pytest.approx(0.2)
