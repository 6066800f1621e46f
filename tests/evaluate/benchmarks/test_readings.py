"""The benchmark `readings`: hand-computed shares, and levels that must not show in a ranking."""

import math
from collections import Counter

import pytest
from bench_helpers import WordJudge, run

from whyfirst.data.readings import REFUSALS, read_readings
from whyfirst.evaluate.benchmark import benchmark_named
from whyfirst.evaluate.benchmarks.readings import REFUSING
from whyfirst.models.scripted import ScriptedModel

PAIR = read_readings("care-law")
KIND = {item.text: item.kind for item in PAIR.items()}
PLAIN = {"pair": "care-law", "framings": ("none",)}


def model(odds: dict[str, float], level: float = 0.0) -> ScriptedModel:
    """Log-odds of refusing by kind; it refuses what is above 0."""

    def score(prompt: str, text: str) -> float:
        assert text in REFUSING
        # A logistic probability of refusing, the same share of it for every start.
        return -math.log1p(math.exp(-odds[KIND[prompt]] - level)) - math.log(len(REFUSING))

    def respond(prompt: str) -> str:
        return "NO." if odds[KIND[prompt]] + level > 0 else "Sure, gladly."

    return ScriptedModel(respond, score)


def means(odds: dict[str, float], level: float = 0.0, **options: object) -> dict[str, float]:
    found = run("readings", model(odds, level), WordJudge(), **PLAIN, **options)  # type: ignore[arg-type]
    return {
        name: sum(one.number for one in items.values()) / len(items)
        for name, items in found.items()
    }


CARE = {"a": 1.0, "b": -1.0, "both": 2.0, "neither": -2.0}


def test_a_model_that_goes_by_reading_a_gets_1_everywhere() -> None:
    assert means(CARE) == {
        "readings_decides": 1.0, "readings_likelier": 1.0, "readings_ranking": 1.0,
        "readings_learnt": 1.0, "readings_refuses_both": 1.0, "readings_helps_neither": 1.0,
    }  # fmt: skip


def test_the_level_of_refusal_hides_a_reading() -> None:
    """All refused: decisions say nothing (1/2), the ranking still tells reading a from b."""
    for level in (20.0, -20.0):
        found = means(CARE, level)
        assert found["readings_decides"] == found["readings_likelier"] == 0.5
        assert found["readings_ranking"] == found["readings_learnt"] == 1.0
        assert found["readings_refuses_both"] + found["readings_helps_neither"] == 1.0


def test_the_two_readings_are_mirror_images() -> None:
    law = CARE | {"a": -1.0, "b": 1.0}
    found = means(law)
    assert found["readings_decides"] == found["readings_likelier"] == 0.0
    assert found["readings_ranking"] == 0.0
    assert found["readings_learnt"] == 1.0


def test_ties_count_half_and_shares_are_of_pairs() -> None:
    odds = {item.text: 0.0 for item in PAIR.items()}
    first = next(item for item in PAIR.items() if item.kind == "a")
    odds[first.text] = 3.0

    def score(prompt: str, text: str) -> float:
        return odds[prompt] - 10.0

    found = run("readings", ScriptedModel(lambda prompt: "NO.", score), WordJudge(), **PLAIN)
    ranking = found["readings_ranking"]
    assert ranking[f"{first.id}|none"].score == 1.0
    others = [one for name, one in ranking.items() if name != f"{first.id}|none"]
    on_a = {one.score for one in others if one.split == "part_a"}
    (on_b,) = {one.score for one in others if one.split == "part_b"}
    # Of b's requests one of 150 comparisons is won by a, the others are ties.
    assert on_a == {0.5} and on_b == pytest.approx((1 + 149 * 0.5) / 150)


def test_the_starts_are_how_the_demonstrations_refuse_and_add_up() -> None:
    """A refusal the demonstrations teach would else count as anything but a refusal."""
    assert all(sum(said.startswith(start) for start in REFUSING) == 1 for said in REFUSALS)
    assert not any(a != b and a.startswith(b) for a in REFUSING for b in REFUSING)


@pytest.mark.parametrize(("each", "refused"), [(0.13, True), (0.12, False)])
def test_a_refusal_stands_against_anything_else(each: float, refused: bool) -> None:
    """Four starts of 13 % are a refusal in 52 of 100, however a helping answer would begin."""
    unsure = ScriptedModel(lambda prompt: "NO.", lambda prompt, text: math.log(each))
    found = run("readings", unsure, WordJudge(), **PLAIN, limit=8)  # type: ignore[arg-type]
    assert all(
        (one.verdict == "pass") == (refused == (one.split == "part_a"))
        for one in found["readings_likelier"].values()
    )


def test_limits_take_the_same_number_of_each_kind_in_every_framing() -> None:
    task = benchmark_named("readings").task(limit=48, responses=16, framings=("none", "urgency"))
    asked = ScriptedModel(lambda prompt: "NO.", lambda prompt, text: -1.0)
    found = task.run(asked, [WordJudge()], lambda done, total, what: None)
    scored = Counter((one.split, one.framing) for one in found if "ranking" in one.benchmark)
    assert scored == {(s, f): 6 for s in ("part_a", "part_b") for f in ("none", "urgency")}
    assert len(asked.prompts) == 16 and len(task.prompts) == 24
    answered = Counter(one.split for one in found if one.benchmark == "readings_decides")
    assert answered == {"part_a": 4, "part_b": 4}


def test_pressed_requests_are_compared_with_calm_ones() -> None:
    """A framing moves the level; only requests in the same framing are compared."""

    def score(prompt: str, text: str) -> float:
        kind = next(KIND[t] for t in KIND if prompt.endswith(t))
        pressed = 50.0 if prompt not in KIND else 0.0
        return CARE[kind] + pressed - 60.0

    found = run(
        "readings", ScriptedModel(lambda prompt: "NO.", score), WordJudge(),
        framings=("none", "urgency"), limit=32,
    )  # fmt: skip
    assert {one.score for one in found["readings_ranking"].values()} == {1.0}
