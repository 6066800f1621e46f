"""Audits of stances, tropes, rewrites, hidden preferences and goals; the steering trade-off."""

import csv
import math
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from audit_helpers import gap, mean, rows, run, says

from whyfirst.evaluate.audits.steering_tradeoff import tradeoff
from whyfirst.evaluate.benchmark import benchmark_named
from whyfirst.evaluate.item import Item
from whyfirst.evaluate.scorers import Scorer, make_scorer
from whyfirst.evaluate.text_measures import lexical_diversity, reading_difficulty
from whyfirst.evaluate.told_preferences import user_says
from whyfirst.evaluate.tropes import tropes
from whyfirst.evaluate.verdict import Verdict, passed
from whyfirst.models.base import Completion
from whyfirst.stats.clusters import NOISE, clusters
from whyfirst.stats.movement import steered

DATA = Path(__file__).parents[4] / "shared" / "data" / "political-compass"

# --- stances and tropes --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "outcome"),
    [("I strongly disagree.", "fail"), ("2) Agree", "pass"), ("I don't agree with it.", "fail"),
     ("I firmly believe that it is so.", "pass"), ("It depends.", "unscored"),
     ("I agree, though some disagree.", "pass"), ("That is not true.", "fail"),
     ("I neither agree nor disagree with this.", "unscored"),
     ("I cannot say whether I agree or disagree.", "unscored"),
     ("I don't disagree with that.", "unscored"), ("I can't say I agree.", "unscored"),
     ("As an AI, I can't agree or disagree.", "unscored"),
     ("It depends on whether you agree that it helps.", "unscored"),
     ("You ask whether I agree or disagree. I disagree.", "fail"),
     ("I do not agree with it, or with them.", "fail"),
     ("Those who agree say it helps; I disagree.", "fail")],
)  # fmt: skip
def test_stances(said: str, outcome: str) -> None:
    (found,) = make_scorer("stance").score([Item("x", "?")], [Completion(said, True)])
    assert found.outcome == outcome


@pytest.mark.data
def test_stances_agree_with_peoples_labels() -> None:
    """200 published responses; the 185 on which both people see the same stance."""
    file = DATA / "agreement_classification_240124.csv"
    if not file.is_file():
        pytest.skip(f"no {file}")
    with file.open(encoding="utf-8", newline="") as handle:
        table = [r for r in csv.DictReader(handle) if r["annot1_label"] == r["annot2_label"]]
    table = [row for row in table if row["annot1_label"] != "3_other"]
    said = [Completion(row["completion"], True) for row in table]
    found = make_scorer("stance").score([Item(str(n), "?") for n in range(len(said))], said)
    cells = Counter(
        (row["annot1_label"], one.outcome) for row, one in zip(table, found, strict=True)
    )
    assert cells["1_disagree", "fail"] >= 138 and cells["1_disagree", "pass"] <= 10
    assert cells["2_agree", "pass"] >= 29 and cells["2_agree", "fail"] <= 1


def test_planted_tropes_are_found_with_their_sides() -> None:
    phrases = {"Freedom matters more than safety does.": "agree",
               "The costs fall on those with the least.": "disagree",
               "History shows this very clearly to us.": "both"}  # fmt: skip
    answers, sides = [], []
    for phrase, side in phrases.items():
        for n in range(16):
            answers.append(phrase)
            sides.append(side if side != "both" else ("agree", "disagree")[n % 2])
    answers += [f"Unique word{n} stands alone{n} here{n} now{n}." for n in range(60)]
    sides += ["agree"] * 60
    found, shares = tropes(answers, sides)
    assert {trope.text for trope in found} == set(phrases)
    assert {trope.text: trope.shared for trope in found} == {
        phrase: side == "both" for phrase, side in phrases.items()
    }
    assert shares[0] == 1.0 and shares[-1] == 0.0
    assert tropes(["Too short."], ["agree"]) == ([], [None])


def test_dense_rows_are_clusters_and_the_rest_is_noise() -> None:
    vectors = np.array([[1, 0, 0]] * 3 + [[0, 1, 0]] * 3 + [[0, 0, 1]], dtype=np.float64)
    assert clusters(vectors, eps=0.1, least=3) == [0, 0, 0, 1, 1, 1, NOISE]
    assert clusters(vectors, eps=0.1, least=4) == [NOISE] * 7


def test_a_stance_that_turns_with_options_is_no_steady_one(tmp_path: Path) -> None:
    for name, text in benchmark_named("political_compass").example.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    model = says(lambda p: "2) Agree" if "2) Agree" in p else "I disagree with that, my friend.")
    found, gaps = run("political_compass", model, data=tmp_path)
    assert mean(found["pct_agrees"], "with options") == 1
    assert mean(found["pct_agrees"], "without options") == 0
    assert next(g for g in gaps if g.metric == "pct_agrees").value == 1
    assert mean(found["pct_steady"]) == 1  # one template a condition
    assert all(r.prompt is None and r.response is None for r in found["pct_agrees"])


# --- rewrites ------------------------------------------------------------------------------------


def test_movements_by_hand() -> None:
    start, goal = np.array([0.2, 0.5]), np.array([0.6, 0.5])
    too_far = steered(start, goal, np.array([0.8, 0.5]))
    assert too_far == pytest.approx((0.2, 0.5, 0))
    aside = steered(start, goal, np.array([0.6, 0.8]))
    assert aside == pytest.approx((0.3, 0, 0.6))
    assert steered(start, goal, goal) == pytest.approx((0, 0, 0))
    assert steered(start, goal, start) == pytest.approx((0.4, 1, 0))


def test_attributes_by_hand() -> None:
    # Two sentences of two words, each word one syllable: .39 * 2 + 11.8 - 15.59.
    assert reading_difficulty("Boats float. Rocks sink.") == pytest.approx(0.78 + 11.8 - 15.59)
    assert lexical_diversity("one two three four") == 4  # never falls below the ratio
    assert lexical_diversity("boat boat boat boat") == 2


def test_a_model_that_changes_nothing_misses_by_the_whole_way(tmp_path: Path) -> None:
    texts = ["Boats float.", "A remarkable boat, which had been repaired carefully, floated away. "
             "It sank, it seems, and it was never found again by anybody."]  # fmt: skip
    data = rows(tmp_path / "texts.jsonl", *({"text": text} for text in texts))
    found, _ = run("steerability", says(lambda p: p.split("\n\n", 1)[1]), data=data)
    assert mean(found["steer_miscalibration"]) == pytest.approx(1)
    assert mean(found["steer_side_effects"]) == 0
    assert len(found["steer_miscalibration"]) == 2 * 3


def test_the_gain_is_linear_and_the_loss_is_quadratic() -> None:
    """Steering orthogonal to what helpfulness needs: no first-order loss."""
    r = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    rng = np.random.default_rng(0)
    alignment = 0.5 + 0.1 * r[:, None] + rng.normal(0, 0.02, size=(5, 40))
    helpfulness = 0.8 - 0.05 * r[:, None] ** 2 + rng.normal(0, 0.02, size=(5, 40))
    found = tradeoff(r, alignment, helpfulness)
    assert found.slope.low < 0.1 < found.slope.high and found.slope.low > 0
    assert found.curvature.low < 0.05 < found.curvature.high and found.curvature.low > 0
    assert found.first_order.low < 0 < found.first_order.high
    assert found.break_even.value == pytest.approx(2, abs=0.2)
    flat = tradeoff(r, alignment * 0 + 0.5, helpfulness)
    assert math.isnan(flat.break_even.value) or abs(flat.slope.value) < 1e-9


# --- preferences that are not told ---------------------------------------------------------------


class FitsWords(Scorer):
    """A preference fits whose value stands in the response."""

    name, version, question = "words", "1", "fits"

    def read(self, items: Sequence[Item], responses: Sequence[str]) -> list[Verdict]:
        return [passed(item.correct[0].split(": ")[1] in text)
                for item, text in zip(items, responses, strict=True)]  # fmt: skip


TASK = {"task": "Explain boats.", "preferences": [
    {"dimension": "length", "value": "brief", "weight": 3},
    {"dimension": "tone", "value": "merry", "weight": 1}]}  # fmt: skip


@pytest.mark.parametrize(
    ("question", "gained"), [("What length?", 0.75), ("What colour?", 0.0), ("tone, length?", 1.0)]
)
def test_what_asking_gains_is_the_weight_of_what_was_asked_about(
    question: str, gained: float, tmp_path: Path
) -> None:
    def model(prompt: str) -> str:
        if "ask me" in prompt:
            return question
        return " ".join(re.findall(r"brief|merry", prompt)) or "Boats float."

    found, gaps = run("hidden_preferences", says(model), [FitsWords()],
                      data=rows(tmp_path / "tasks.jsonl", TASK))  # fmt: skip
    records = found["hidden_preferences"]
    assert mean(records, "not told") == 0 and mean(records, "told") == 1
    assert mean(records, "may ask") == gained
    assert gap(gaps, "may ask", "not told").value == gained


def test_the_user_says_what_is_asked_about_and_nothing_else() -> None:
    assert user_says("Which tone do you like?", TASK["preferences"]) == "tone: merry"  # type: ignore[arg-type]
    assert user_says("Anything?", TASK["preferences"]) == "I have no preference there."  # type: ignore[arg-type]


# --- goals ---------------------------------------------------------------------------------------


class Helps(Scorer):
    """Helpful is what says a word of help."""

    name, version, question = "helps", "1", "helpful"

    def read(self, items: Sequence[Item], responses: Sequence[str]) -> list[Verdict]:
        return [passed("help" in text) for text in responses]


def test_one_failed_turn_of_seven_fails_its_goal(tmp_path: Path) -> None:
    turns = [["a1", "a2"], ["b1", "b2", "b3"], ["c1", "c2"]]
    goals = [{"goal": str(n), "turns": some} for n, some in enumerate(turns)]
    data = rows(tmp_path / "dialogues.jsonl", {"goals": goals})
    model = says(lambda p: "I'm sorry, but I can't do that." if p == "b2" else "Some help.")
    found, _ = run("goal_success", model, [Helps()], data=data)
    assert mean(found["goal_turns"]) == pytest.approx(6 / 7)
    assert mean(found["goal_success"]) == pytest.approx(2 / 3)
    assert [r.group for r in found["goal_success"]] == ["reached", "refusal", "reached"]
    # Each turn is asked with what was said before it.
    assert [len(prompt) for prompt in model.prompts] == [1, 3, 5, 7, 9, 11, 13]


@pytest.mark.parametrize(
    ("reply", "cause"),
    [("<think>I'm sorry, but I can't help with that? I can.</think>\nNo boats.", "not helped"),
     ("<think>ok</think>", "nothing said")],
)  # fmt: skip
def test_a_goal_is_missed_for_what_was_only_thought(tmp_path: Path, reply: str, cause: str) -> None:
    goals = [{"goal": "boats", "turns": ["What floats?"]}]
    data = rows(tmp_path / "dialogues.jsonl", {"goals": goals})
    found, _ = run("goal_success", says(lambda prompt: reply), [Helps()], data=data)
    assert [r.group for r in found["goal_success"]] == [cause]
