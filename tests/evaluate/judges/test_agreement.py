"""Cohen's kappa, sensitivity and specificity, by hand and against statsmodels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.inter_rater import cohens_kappa as library_kappa

from whyfirst.config.errors import DataError
from whyfirst.evaluate.agreement import (
    Confusion,
    agreement,
    cohens_kappa,
    confusion_of,
    from_confusion,
    kappa_interval,
)

COUNTS = st.integers(0, 40)


def test_kappa_by_hand() -> None:
    """20 + 15 of 50 agree (0.7); by chance 0.5·0.6 + 0.5·0.4 = 0.5; so (0.7 − 0.5)/0.5."""
    assert float(cohens_kappa((20, 5, 10, 15))) == pytest.approx(0.4)


@given(COUNTS, COUNTS, COUNTS, COUNTS)
def test_kappa_is_the_librarys(a: int, b: int, c: int, d: int) -> None:
    ours = float(cohens_kappa((a, b, c, d)))
    chance_is_sure = (a + b) * (a + c) + (c + d) * (b + d) == (a + b + c + d) ** 2
    if chance_is_sure:  # an empty table, or one and the same value on both sides
        assert np.isnan(ours)
        return
    theirs = library_kappa(np.array([[a, b], [c, d]]), return_results=False)
    assert ours == pytest.approx(float(theirs), abs=1e-12)


@given(COUNTS, COUNTS, COUNTS, COUNTS)
def test_kappa_does_not_care_who_is_the_judge_nor_what_yes_means(
    a: int, b: int, c: int, d: int
) -> None:
    value = cohens_kappa((a, b, c, d))
    for same in ((a, c, b, d), (d, c, b, a)):
        np.testing.assert_allclose(cohens_kappa(same), value, atol=1e-12)


def test_agreement_counts_and_leaves_out_the_unscored() -> None:
    verdicts = ["pass", "pass", "fail", "fail", "unscored", "pass"]
    labels = [True, False, True, False, True, True]
    found = agreement(verdicts, labels)
    assert found.confusion == Confusion(2, 1, 1, 1)
    assert found.unscored == 1
    assert found.sensitivity is not None and found.sensitivity.value == pytest.approx(2 / 3)
    assert found.specificity is not None and found.specificity.value == pytest.approx(1 / 2)


def test_what_cannot_be_said_is_none_and_not_a_number() -> None:
    all_yes = agreement(["pass", "pass"], [True, True])
    assert all_yes.kappa is None and all_yes.specificity is None
    assert all_yes.sensitivity is not None and all_yes.sensitivity.value == 1.0
    nothing = agreement(["unscored"], [True])
    assert (nothing.kappa, nothing.sensitivity, nothing.unscored) == (None, None, 1)


def test_labels_and_verdicts_must_be_as_many() -> None:
    with pytest.raises(DataError, match="1 verdicts for 2 labels"):
        agreement(["pass"], [True, False])
    with pytest.raises(DataError, match="1 verdicts for 2 labels"):
        confusion_of([True], [True, False])


def test_the_interval_holds_the_value_and_shrinks_with_more_items() -> None:
    few, many = kappa_interval(Confusion(20, 5, 10, 15)), from_confusion(
        Confusion(400, 100, 200, 300)
    ).kappa  # fmt: skip
    assert few is not None and many is not None
    assert few.low < few.value == many.value < few.high
    assert many.high - many.low < (few.high - few.low) / 3
    assert kappa_interval(Confusion(20, 5, 10, 15)) == few


def test_the_interval_covers_the_true_kappa() -> None:
    """400 samples of 200 items from cells .4, .1, .15, .35 (kappa 0.5)."""
    rng = np.random.default_rng(5)
    truth = float(cohens_kappa((40, 10, 15, 35)))
    hits = 0
    for counts in rng.multinomial(200, (0.4, 0.1, 0.15, 0.35), size=400):
        found = kappa_interval(Confusion(*(int(count) for count in counts)))
        assert found is not None
        hits += found.low <= truth <= found.high
    assert 0.92 <= hits / 400 <= 0.98
