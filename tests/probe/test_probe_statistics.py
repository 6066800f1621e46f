"""Known answers of the statistics: CKA, RSA, AUROC, directions, intervals, correlations."""

from functools import partial
from itertools import permutations

import numpy as np
import pytest

from whyfirst.probe import record
from whyfirst.probe.direction import (
    Labelled,
    difference_in_means,
    held_out,
    labelled,
    logistic,
    shuffled,
)
from whyfirst.probe.estimates import (
    Estimate,
    Floats,
    Indices,
    mean_estimate,
    rate_estimate,
    statistic_estimate,
)
from whyfirst.probe.pairs import Pair
from whyfirst.probe.patching import ratio_of_means
from whyfirst.probe.record import CONTROLS, WITHOUT, Measure, ProbeOptions
from whyfirst.probe.similarity import (
    STATEMENTS,
    _statements,
    association,
    cka,
    dissimilarity,
    gram,
    hsic,
    moved_in_words,
    pseudo_values,
    rsa,
)
from whyfirst.stats.classify import auroc


def random_states(seed: int, rows: int = 120, width: int = 400) -> Floats:
    """Independent normal numbers."""
    return np.random.default_rng(seed).standard_normal((rows, width))


@pytest.mark.parametrize("count", [4, 99, 100, 101, 150, 199, 200, 250, 450])
def test_models_are_compared_on_one_side_of_the_first_pairs(count: int) -> None:
    """Every second statement is the violating one of its pair, and 399 were cut at 200."""
    pairs = [Pair(id=str(n), value="v", violated=f"bad {n}", upheld=f"good {n}")
             for n in range(count)]  # fmt: skip
    found = _statements(pairs)
    assert len(found) == min(2 * count, STATEMENTS)
    sides = [[int(t.split()[1]) for t in found if t.startswith(side)] for side in ("bad", "good")]
    assert sides[0] == sides[1] == [int(n) for n in found.values()][::2]
    assert (sides[0][0], sides[0][-1]) == (0, count - 1)


def test_hsic_is_the_mean_over_distinct_quadruples() -> None:
    """A wrong weight of one of the three terms; by the definition, for 6 rows."""
    k, l = gram(random_states(0, 6, 3)), gram(random_states(1, 6, 2))  # noqa: E741
    terms = [
        k[i, j] * (l[i, j] + l[q, r] - 2 * l[i, q]) for i, j, q, r in permutations(range(6), 4)
    ]
    assert hsic(k, l) == pytest.approx(float(np.mean(terms)), abs=1e-12)


def test_cka_of_a_rotated_and_scaled_copy_is_1() -> None:
    """CKA must not depend on the basis."""
    states = random_states(0)
    rotation = np.linalg.qr(random_states(1, 400, 400))[0]
    assert cka(gram(states), gram(3 * states @ rotation + 5)) == pytest.approx(1.0, abs=1e-9)


def test_cka_of_independent_noise_is_near_0_with_more_dimensions_than_rows() -> None:
    """The plain estimator gives 0.75 and more here."""
    found = [cka(gram(random_states(s)), gram(random_states(100 + s))) for s in range(20)]
    assert abs(np.mean(found)) < 0.01
    assert np.abs(found).max() < 0.05


def test_rsa_sees_the_order_of_dissimilarities_only() -> None:
    """Scale and rows' offsets must not matter; noise must be near 0."""
    states = random_states(2, 60, 50)
    assert rsa(dissimilarity(states), dissimilarity(4 * states + 7)) == pytest.approx(1.0)
    assert abs(rsa(dissimilarity(states), dissimilarity(random_states(3, 60, 50)))) < 0.1


def test_association_is_positive_where_violations_point_to_bad_outcomes() -> None:
    """Its sign was turned, or a direction common to all statements counted."""
    rng = np.random.default_rng(0)
    axis, common = rng.standard_normal((2, 64))
    other = rng.standard_normal(64)
    other -= axis * (other @ axis) / (axis @ axis)

    def said(sign: int, along: Floats) -> Floats:
        return 10 * common + sign * along + 0.3 * rng.standard_normal((40, 64))

    outcomes = [said(1, axis), said(-1, axis)]
    assert association([said(1, axis), said(-1, axis), *outcomes]).mean() > 3.0
    assert abs(association([said(1, other), said(-1, other), *outcomes]).mean()) < 0.1


def test_auroc_by_hand() -> None:
    """4 positives against 3 negatives: 8 pairs won, 1 tied, of 12; and none of one kind."""
    scores = np.array([4.0, 3.0, 2.0, 1.0, 2.0, 0.5, 2.5])
    positive = np.array([True, True, True, True, False, False, False])
    assert auroc(scores, positive) == pytest.approx(8.5 / 12)
    assert auroc(-scores, positive) == pytest.approx(3.5 / 12)
    assert np.isnan(auroc(scores, np.ones(7, dtype=bool)))


def planted(rows: int = 400, width: int = 32) -> tuple[Floats, Labelled, Floats]:
    """States with a direction for violating, the same in four values of different means."""
    rng = np.random.default_rng(5)
    axis = rng.standard_normal(width)
    axis *= 4 / np.linalg.norm(axis)
    violated = np.arange(rows) % 2 == 0
    values = np.array([f"v{n // (rows // 4)}" for n in range(rows)])
    shift = {value: rng.standard_normal(width) for value in np.unique(values)}
    states = (
        rng.standard_normal((rows, width)) * 0.5 + np.where(violated, 0.5, -0.5)[:, None] * axis
    )
    states += np.array([shift[value] for value in values])
    topics = np.array([str(n // 2) for n in range(rows)])
    return states, Labelled([str(n) for n in range(rows)], violated, values, topics), axis


def test_a_planted_direction_is_recovered() -> None:
    """Cosine over 0.99 by difference in means; both tell apart a value they never saw."""
    states, data, axis = planted()
    found = difference_in_means(states, data.violated)
    assert found @ axis / np.linalg.norm(found) / np.linalg.norm(axis) > 0.99
    for fit in (difference_in_means, logistic):
        scores = held_out(states, data, fit, "v2")
        assert auroc(scores, data.violated[data.values == "v2"]) > 0.99


def test_shuffled_labels_give_no_direction() -> None:
    """Shuffling that keeps pairs or values apart would leave the signal in."""
    states, data, _ = planted()
    found = [
        auroc(
            held_out(states, shuffled(data, n), difference_in_means, "v1"),
            data.violated[data.values == "v1"],
        )
        for n in range(40)
    ]
    assert 0.3 < np.mean(found) < 0.7
    same = shuffled(data, 3)
    assert (same.violated == shuffled(data, 3).violated).all()
    for value in np.unique(data.values):
        own = data.values == value
        assert same.violated[own].sum() == data.violated[own].sum()


def test_a_statement_of_several_pairs_counts_once() -> None:
    """A matched statement used twice would weigh twice."""
    pairs = [
        Pair(id=f"{v}{n}", value=v, violated=f"bad {v} {n}", upheld=f"good {v}")
        for v in ("a", "b") for n in range(3)
    ]  # fmt: skip
    data = labelled(pairs)
    assert len(data.texts) == 8
    assert data.violated.sum() == 6


def test_a_jackknife_of_the_mean_is_the_usual_standard_error() -> None:
    """Fewer than 25 topics of one item each: groups are topics, and s/sqrt(n) by hand."""
    from scipy.special import stdtrit

    values = np.random.default_rng(0).standard_normal(20)
    found = statistic_estimate(
        lambda items: values[items].mean()[None], np.array([f"{n:02d}" for n in range(20)])
    )
    half = stdtrit(19, 0.975) * values.std(ddof=1) / np.sqrt(20)
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - half)
    assert found.unit == "topics"


def test_seeds_that_disagree_widen_the_interval() -> None:
    """With several seeds an interval over items alone would be far too narrow."""
    rng = np.random.default_rng(1)
    base = rng.standard_normal((1, 60)) * 0.1
    topics = np.array([str(n) for n in range(60)])
    apart = base + np.array([[-1.0], [0.0], [1.0]])
    for found in (
        mean_estimate(apart, topics),
        statistic_estimate(lambda items: apart[:, items].mean(axis=1), topics),
    ):
        assert found.unit == "seeds" and found.n_seeds == 3
        assert found.high is not None and found.low is not None and found.high - found.low > 3.0
    alone = mean_estimate(base, topics)
    assert alone.unit == "topics" and alone.high is not None and alone.low is not None
    assert alone.high - alone.low < 0.1


def test_what_is_undefined_is_none_and_not_nan() -> None:
    """NaN can't be written as JSON."""
    none = mean_estimate(np.full((2, 3), np.nan), np.array(["a", "b", "c"]))
    assert (none.value, none.low, none.high) == (None, None, None)
    constant = record.correlate(
        np.random.default_rng(0).random((1, 30)), np.ones((1, 30)), [str(n) for n in range(30)]
    )
    assert constant.value is None


def test_a_reading_that_decides_the_verdict_correlates_and_noise_does_not() -> None:
    """The correlation was taken across seeds or over unscored items."""
    rng = np.random.default_rng(2)
    reading = rng.standard_normal((3, 80))
    verdict = (reading > 0).astype(float)
    verdict[:, ::7] = np.nan
    topics = [str(n // 2) for n in range(80)]
    linked = record.correlate(reading, verdict, topics)
    assert linked.value is not None and linked.value > 0.7 and linked.sign == 1
    loose = record.correlate(reading, rng.integers(0, 2, (3, 80)).astype(float), topics)
    assert loose.sign == 0


def one(arm: str, low: float, high: float) -> Measure:
    """A measure with this interval."""
    return Measure("r", arm, Estimate((low + high) / 2, low, high, 10, 3, "seeds"))


def test_a_control_that_shows_it_too_is_said_in_plain_words() -> None:
    """A claim about explanations stood although neutral documents did the same."""
    options = ProbeOptions()
    shown = record.cautions(
        [one("explain_first", 0.2, 0.6), one("neutral_first", 0.1, 0.5)], options, "the link"
    )
    assert len(shown) == 1 and "neutral_first shows the link too" in shown[0]
    assert "isn't the explanations" in shown[0]
    clean = [one("explain_first", 0.2, 0.6), one("neutral_first", -0.2, 0.3)]
    assert record.cautions(clean, options, "the link") == []
    nothing = record.cautions([one("explain_first", -0.1, 0.2)], options, "the link")
    assert "not distinguishable from none" in nothing[0]
    alone = record.cautions([one("explain_first", 0.1, 0.2)], options, "the link")
    assert "no control arm" in alone[0]


def test_what_was_not_measured_is_called_no_link() -> None:
    """No request was about what the pairs are about, and the link "is not distinguishable"."""
    lacking = Estimate(None, None, None, 0, 3, "seeds")
    mine = Measure("r", "explain_first", lacking, note="no request is about it")
    (said,) = record.cautions([mine], ProbeOptions(), "the link")
    assert said == "explain_first: the link could not be measured: no request is about it."
    # A control without an interval clears nobody.
    control = Measure("r", "neutral_first", lacking)
    (said,) = record.cautions([one("explain_first", 0.1, 0.2), control], ProbeOptions(), "the link")
    assert "no control arm was measured" in said


def test_indices_select_items_in_every_seed() -> None:
    """Leaving out a group must leave it out in each seed alike."""
    seen: list[Indices] = []

    def statistic(items: Indices) -> Floats:
        seen.append(items)
        return np.zeros(2)

    statistic_estimate(statistic, np.array(["a", "a", "b", "c"]))
    assert [len(items) for items in seen] == [4, 2, 3, 3]


def test_a_control_is_missing_from_the_usual_ones() -> None:
    """A study of labels and rules was said to have no control: the list knew four names."""
    for arm in ("rules_first", "label_first", "nobecause_first", "wrong_reason_first"):
        assert arm in CONTROLS
        link = [one("explain_first", 0.2, 0.6), one(arm, 0.1, 0.5)]
        (shown,) = record.cautions(link, ProbeOptions(), "the link")
        assert f"{arm} shows the link too" in shown
    # Documents with reasons of something else are no arm without reasons.
    assert set(CONTROLS) - set(WITHOUT) == {"wrong_reason_first", "shuffled_first", "wrong_first"}


def test_one_seed_of_three_topics_is_surer_than_three_topics_are() -> None:
    """The percentile bootstrap held the truth in 73 %. Student's by hand, two items a topic."""
    values = np.array([[0.1, 0.3, 0.5, 0.5, 0.9, 1.3]])
    found = mean_estimate(values, np.array(["a", "a", "b", "b", "c", "c"]))
    half = 4.302653 * np.std([0.2, 0.5, 1.1], ddof=1) / np.sqrt(3)
    assert (found.value, found.n, found.unit) == (pytest.approx(0.6), 6, "topics")
    assert (found.low, found.high) == pytest.approx((0.6 - half, 0.6 + half))


def test_seeds_distances_are_taken_as_independent_although_they_share_their_pairs() -> None:
    """The intervals held the truth in 66 to 73 %: random vectors at a squared distance of 2."""
    rng, held, trials, seeds = np.random.default_rng(0), 0, 300, 4
    topics = np.array([f"{n:02d}" for n in range(20)])
    for _ in range(trials):
        states = rng.standard_normal((seeds, 100)) / 10
        apart = ((states[:, None] - states) ** 2).sum(axis=-1).sum(axis=1) / (seeds - 1)
        values = pseudo_values(apart)
        without = [np.delete(np.delete(d, s, 0), s, 1) for s in range(seeds)
                   for d in [((states[:, None] - states) ** 2).sum(axis=-1)]]  # fmt: skip
        left = np.array([one[np.triu_indices(seeds - 1, 1)].mean() for one in without])
        assert values == pytest.approx(seeds * apart.mean() - (seeds - 1) * left)
        found = statistic_estimate(lambda items, v=values: v + 0 * len(items), topics)  # type: ignore[misc]
        assert found.low is not None and found.high is not None
        held += found.low <= 2 <= found.high
    assert held / trials >= 0.93


def test_one_layer_of_thirty_without_an_effect_is_said_to_have_moved() -> None:
    def moved(layer: int, p: float) -> Measure:
        estimate = Estimate(0.1, 0.1 - 0.09 * (p < 0.05) - 0.2 * (p >= 0.05), 0.3, 9, 3, "seeds", p)
        return Measure("moved", "direct", estimate, {"layer": layer})

    own = [moved(layer, 0.04 if layer == 7 else 0.5) for layer in range(30)]
    assert moved_in_words("direct", "base", own).endswith("in no layer by more than its seeds do.")
    own[3] = moved(3, 0.001)
    assert "in layers 3 of 30" in moved_in_words("direct", "base", own)


def test_topics_that_agree_to_the_last_digit_are_sure() -> None:
    """One seed, one value: an interval without width told a sign that nothing supports."""
    alone = mean_estimate(np.full((1, 4), 0.3), np.array(["a", "b", "c", "d"]))
    assert (alone.value, alone.low, alone.high) == (pytest.approx(0.3), None, None)


def test_a_direction_that_knows_statements_by_heart_does_better_than_chance() -> None:
    """One text is an act against several values, and labels go together over values: trained on
    the others a direction had seen the very statements it was tested on."""
    rng = np.random.default_rng(0)
    rows = [
        (f"act {act}", value, bool(bad))
        for act in range(60)
        for bad in [rng.random() < 0.5]
        for value in ("care", "law", "thrift")
    ]
    texts = [text for text, _, _ in rows]
    data = Labelled(
        texts, np.array([bad for *_, bad in rows]), np.array([value for _, value, _ in rows]),
        np.array(texts),
    )  # fmt: skip
    noise = {text: rng.standard_normal(96) for text in texts}
    states = np.array([noise[text] for text in texts])
    # Nothing is left to train on where every text is of every value.
    assert np.isnan(held_out(states, data, difference_in_means, "care")).all()
    # Each act of two values, so that a third of the acts is left to train on.
    two = [n for n, (text, value, _) in enumerate(rows)
           if int(text.split()[1]) % 3 != ord(value[0]) % 3]  # fmt: skip
    some = Labelled([texts[n] for n in two], data.violated[two], data.values[two], data.topics[two])
    found = [
        auroc(held_out(states[two], some, difference_in_means, value),
              some.violated[some.values == value])
        for value in ("care", "law", "thrift")
    ]  # fmt: skip
    assert 0.3 < float(np.mean(found)) < 0.7


def test_one_seed_without_a_gap_rules_the_share() -> None:
    """8 seeds carried over half of what the arms differ by, and .875 was reported."""
    gaps = np.array([4.0, 3, 5, 4, 3, 4, 5, 0.1])[:, None] * np.ones((1, 30))
    shifts = gaps * 0.5
    shifts[-1] = 0.35
    found = statistic_estimate(partial(ratio_of_means, shifts, gaps), np.arange(30))
    assert found.value == pytest.approx(shifts.mean() / gaps.mean())
    assert found.value == pytest.approx(0.511, abs=0.01)
    assert found.low is not None and 0.4 < found.low < found.value


def test_a_statistic_that_agrees_everywhere_is_no_surer_than_a_mean() -> None:
    flags = np.array([True, False] * 12)
    one = statistic_estimate(
        lambda items: np.array([auroc(flags[items].astype(float), flags[items])]), np.arange(24)
    )
    assert (one.value, one.low, one.high, one.p) == (1.0, None, None, None)


def test_a_seed_without_an_answer_counts_as_a_seed() -> None:
    values = np.array([[1.0, 0.0, 1.0, 1.0], [np.nan] * 4])
    found = rate_estimate(values, np.arange(4))
    assert (found.n_seeds, found.unit) == (1, "topics")
