"""Gaps between groups against hand-computed values, and their coverage's conservative side."""

import math

import numpy as np
import pytest
from scipy.stats import t, ttest_ind

from whyfirst.evaluate.gaps import Gap, gaps_to, mean_gaps, range_gaps
from whyfirst.evaluate.gaps_over_seeds import over_seeds
from whyfirst.evaluate.item import ItemResult, judged, unscored
from whyfirst.stats.crossed import estimate


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


def test_what_is_printed_of_a_gap_names_every_item_of_it() -> None:
    """`whyfirst eval --json` printed the values that a gap over seeds is made of."""
    (gap,) = range_gaps(_items({"a": [0.9, 0.7], "b": [0.2, 0.5]}))
    told = gap.to_json()
    assert gap.of and list(told) == [
        "metric", "split", "between", "value", "low", "high", "groups", "note",
    ]  # fmt: skip
    assert (told["value"], told["between"]) == (gap.value, ("a", "b"))


def test_the_interval_of_the_range_covers_although_the_extremes_were_chosen() -> None:
    """Equal groups: the true range is 0, and an interval of the extreme pair alone misses it."""
    rng = np.random.default_rng(0)
    hits, trials = 0, 200
    for _ in range(trials):
        groups = {g: list(rng.uniform(0.3, 0.7, 12)) for g in "abcdef"}
        (gap,) = range_gaps(_items(groups))
        hits += gap.low == 0.0
    assert hits / trials >= 0.93


def _run(a: list[float], b: list[float]) -> list[Gap]:
    return [gap for gap in range_gaps(_items({"a": a, "b": b})) if gap.groups == 2]


def test_a_gap_over_seeds_does_not_count_the_runs_alone() -> None:
    """By hand: gaps of three runs, 0.8, 0.6 and 0.7, whose Student's interval is 0.452 to 0.948.

    A = var(gaps) / 3. In each group (two topics) B is var(topic means) / 2 and C var(double
    differences) / 12, after Searle, Casella and McCulloch.
    """
    a = np.array([[0.9, 0.9], [0.7, 0.9], [0.8, 1.0]])
    b = np.array([[0.0, 0.2], [0.1, 0.3], [0.1, 0.3]])
    (found,) = over_seeds([_run(list(x), list(y)) for x, y in zip(a, b, strict=True)])
    gaps = a.mean(axis=1) - b.mean(axis=1)
    seed, of_topics, of_cells = gaps.var(ddof=1) / 3, [], []
    for group in (a, b):
        of_topics.append(group.mean(axis=0).var(ddof=1) / 2)
        left = group - group.mean(axis=1, keepdims=True) - group.mean(axis=0) + group.mean()
        of_cells.append((left**2).sum() / 2 / (3 * 2))
    topic, shared = sum(of_topics), sum(of_cells)
    variance = max(seed + topic - shared, seed, topic)
    topic_df = topic**2 / sum(one**2 for one in of_topics)
    cautious = seed * 3
    total = max(cautious + topic - shared, cautious, topic)
    df = total**2 / (cautious**2 / 2 + topic**2 / topic_df + shared**2 / (2 * topic_df))
    reach = t.ppf(0.975, max(df, min(2, topic_df))) * math.sqrt(variance)
    assert found.value == pytest.approx(gaps.mean())
    assert (found.low, found.high) == (
        pytest.approx(max(-1, gaps.mean() - reach)), pytest.approx(min(1, gaps.mean() + reach)),
    )  # fmt: skip
    assert found.note == "interval over 3 seeds and the topics"


def test_equal_groups_on_other_prompts_are_not_told_apart_by_many_runs() -> None:
    """No true gap, prompts that differ: an interval over the runs alone errs in four of ten."""
    rng, found, trials = np.random.default_rng(0), 0, 300
    for _ in range(trials):
        prompts = rng.normal(0.5, 0.2, 20)
        answers = np.clip(prompts + rng.normal(0, 0.1, (5, 20)), 0, 1)
        runs = [gaps_to(_said(one), "en") for one in (answers > 0.5).astype(float)]
        found += sum(gap.low > 0 or gap.high < 0 for gap in over_seeds(runs))
    assert found / trials < 0.07


def _said(scores: np.ndarray) -> list[ItemResult]:
    return [
        judged(f"{n}", "m", bool(one), group="en" if n < 8 else "fr")
        for n, one in enumerate(scores)
    ]


def test_one_prompt_in_a_language_shows_no_gap_to_another() -> None:
    """Every run fails the one Korean prompt, as it fails some of the English ones."""
    runs = []
    for seed in range(5):
        items = [judged(f"en{n}", "m", n > seed % 3, group="en") for n in range(8)]
        runs.append(gaps_to([*items, judged("ko", "m", False, group="ko")], "en"))
    (found,) = over_seeds(runs)
    assert found.value < -0.7
    assert (found.low, found.high) == (-1.0, 1.0)
    assert found.note == "one topic, so that nothing is known of others: ko"


def test_runs_that_agree_or_a_single_one_give_no_gap_over_seeds() -> None:
    one = _run([0.9, 0.7], [0.2, 0.3])
    assert over_seeds([one]) == over_seeds([one, one]) == []
    three = {"a": [0.9, 0.7], "b": [0.2, 0.3], "c": [0.4, 0.5]}
    other = {"a": [0.8, 0.7], "b": [0.2, 0.3], "c": [0.4, 0.5]}
    assert over_seeds([range_gaps(_items(three)), range_gaps(_items(other))]) == []


def test_two_groups_that_change_places_from_run_to_run_have_no_gap() -> None:
    """A range names the larger group first: by the name of each order, every run would be above 0
    and a difference of nothing would be found twice, once in either direction."""
    higher = (0.2, -0.2, 0.1, -0.1)
    runs = [
        _run([0.4 + max(d, 0), 0.5 + max(d, 0)], [0.4 - min(d, 0), 0.5 - min(d, 0)])
        for d in higher
    ]  # fmt: skip
    assert [gap.between[0] for (gap,) in runs] == ["a", "b", "a", "b"]
    (found,) = over_seeds(runs)
    assert found.value == pytest.approx(0) and found.low < 0 < found.high
    assert found.note == "interval over 4 seeds and the topics"


def test_of_two_estimates_of_one_gap_the_same_is_taken_in_every_run() -> None:
    """Over topics first, then over items: two topics of three and one item, means 0.55 and 0.6."""

    def run(more: float) -> list[Gap]:
        scores = (0.2, 0.3, 0.4, 0.9)
        return mean_gaps()([
            ItemResult(f"{n}", "m", "pass", score=score + more, topic=f"{n // 3}")
            for n, score in enumerate(scores)
        ])  # fmt: skip

    runs = [run(0.0), run(0.1)]
    assert [len(one) for one in runs] == [2, 2]
    (found,) = over_seeds(runs)
    assert found.note == "interval over 2 seeds and the topics"
    whole = estimate(np.array([[0.2, 0.3, 0.4, 0.9], [0.3, 0.4, 0.5, 1.0]]), np.array([0, 0, 0, 1]))
    reach = t.ppf(0.975, whole.df) * math.sqrt(whole.variance)
    assert found.value == pytest.approx(whole.mean)
    assert found.low == pytest.approx(max(-1, whole.mean - reach))
