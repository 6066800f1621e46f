"""Rogan and Gladen's correction, its interval's coverage, and judge cards."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whyfirst.config.errors import DataError
from whyfirst.evaluate.correction import (
    AgreementCard,
    corrected_rate,
    rogan_gladen,
    shipped_card,
)
from whyfirst.evaluate.scorers.rules import RulesScorer


def card(yes: tuple[int, int], no: tuple[int, int]) -> AgreementCard:
    """Right verdicts of all, for items people say yes to and no to."""
    counts = (yes[0], no[1] - no[0], yes[1] - yes[0], no[0])
    return AgreementCard("j", "1", "refused", "made up", ("a.csv",), *counts, unscored=0)


def test_the_rate_by_hand() -> None:
    """Se 0.9, Sp 0.8: 0.48 seen is (0.48 + 0.8 − 1) / 0.7 = 0.4 true."""
    assert rogan_gladen(0.48, 500, card((90, 100), (80, 100))).value == pytest.approx(0.4)


@given(st.floats(0, 1), st.integers(60, 99), st.integers(60, 99))
def test_it_undoes_the_error_it_knows(true: float, se: int, sp: int) -> None:
    seen = true * se / 100 + (1 - true) * (1 - sp / 100)
    found = rogan_gladen(seen, 1000, card((se, 100), (sp, 100)))
    assert found.value == pytest.approx(true, abs=1e-9)
    assert 0.0 <= found.low <= found.value <= found.high <= 1.0


def test_the_limits_by_hand() -> None:
    """The published formula, written out once more with its own numbers."""
    z = 1.959963984540054
    n, seen = 200, 0.3
    low, high = rogan_gladen(seen, n, card((45, 50), (57, 60)))[1:]
    seen_, se, sp = (n * seen + z * z / 2) / (n + z * z), 46 / 52, 58 / 62
    p = (seen_ + sp - 1) / (se + sp - 1)
    d = 2 * z * z * (p * se * (1 - se) / 52 - (1 - p) * sp * (1 - sp) / 62)
    v = seen_ * (1 - seen_) / (n + z * z)
    v += p * p * se * (1 - se) / 52 + (1 - p) ** 2 * sp * (1 - sp) / 62
    half = z * math.sqrt(v) / (se + sp - 1)
    assert (low, high) == pytest.approx((p + d - half, p + d + half))


def test_a_perfect_judge_on_many_items_changes_nothing() -> None:
    found = rogan_gladen(0.25, 400, card((100_000, 100_000), (100_000, 100_000)))
    assert found.value == 0.25
    assert found.low == pytest.approx(0.21, abs=0.005) and found.high == pytest.approx(0.295, 0.02)


@pytest.mark.parametrize(("yes", "no"), [((50, 100), (50, 100)), ((20, 100), (30, 100))])
def test_a_judge_no_better_than_chance_corrects_nothing(
    yes: tuple[int, int], no: tuple[int, int]
) -> None:
    """Dividing by Se + Sp − 1 near or below 0 gave any rate at all."""
    with pytest.raises(DataError, match=r"sensitivity \+ specificity is"):
        rogan_gladen(0.5, 100, card(yes, no))


def test_a_card_of_one_kind_of_item_or_no_rate_is_refused() -> None:
    with pytest.raises(DataError, match="its card has no no labels"):
        rogan_gladen(0.5, 100, card((5, 5), (0, 0)))
    with pytest.raises(DataError, match="not a rate"):
        rogan_gladen(1.5, 100, card((9, 10), (9, 10)))
    with pytest.raises(DataError, match="no item is scored"):
        corrected_rate(0, 0, 5, card((9, 10), (9, 10)))


def test_a_tiny_card_gives_the_whole_range() -> None:
    assert rogan_gladen(0.5, 100, card((1, 1), (1, 2)))[1:] == pytest.approx((0, 1), abs=0.2)


def test_impossible_rates_are_cut_to_the_ends() -> None:
    judge = card((90, 100), (80, 100))
    assert rogan_gladen(0.05, 200, judge).value == 0.0
    assert rogan_gladen(0.99, 200, judge).value == 1.0


def test_unscored_items_widen_the_bounds_only() -> None:
    judge = card((90, 100), (80, 100))
    found = corrected_rate(48, 52, 25, judge)
    assert found.rate == rogan_gladen(0.48, 100, judge)
    assert (found.worst, found.best) == pytest.approx((40 / 125, 65 / 125))
    assert corrected_rate(48, 52, 0, judge)[1:] == pytest.approx((0.4, 0.4))


@pytest.mark.parametrize("true", [0.02, 0.3, 0.8])
@pytest.mark.parametrize(("labels", "n"), [(50, 100), (400, 300)])
def test_the_interval_covers(true: float, labels: int, n: int) -> None:
    """1,000 simulated measurements: a card of its own each, then a rate to correct."""
    rng = np.random.default_rng(labels + int(1000 * true))
    se, sp = 0.88, 0.96
    hits = 0
    for _ in range(1000):
        yes, no = int(rng.binomial(labels, se)), int(rng.binomial(labels, sp))
        seen = rng.binomial(n, true * se + (1 - true) * (1 - sp)) / n
        found = rogan_gladen(float(seen), n, card((yes, labels), (no, labels)))
        hits += found.low <= true <= found.high
    assert hits / 1000 >= 0.93


def test_a_card_survives_the_round_trip(tmp_path: Path) -> None:
    kept = card((90, 100), (80, 100))
    kept.save(tmp_path / "card.json")
    assert AgreementCard.load(tmp_path / "card.json") == kept


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "no judge card: 'judge' is missing"),
        ('{"judge": "j"}', "'version' is missing"),
        ("{", "not readable as JSON"),
    ],
)
def test_what_is_no_card_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "card.json").write_text(text)
    with pytest.raises(DataError, match=message):
        AgreementCard.load(tmp_path / "card.json")


def test_a_card_with_a_negative_count_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    card((90, 100), (80, 100)).save(path)
    path.write_text(path.read_text().replace('"false_pass": 20', '"false_pass": -1'))
    with pytest.raises(DataError, match="false_pass is -1"):
        AgreementCard.load(path)


def test_rules_ships_a_card_of_its_own_version() -> None:
    judge = RulesScorer()
    found = shipped_card(judge.name, judge.version)
    assert found is not None
    assert (found.judge, found.version, found.question) == ("rules", judge.version, "refused")
    judge.version = "0"
    assert shipped_card(judge.name, judge.version) is None
