"""TruthfulQA multiple choice: lm-eval's text and definitions, by hand."""

import csv
import hashlib
import math
import os
from pathlib import Path

import pytest

from whyfirst.data.truthfulqa import Question
from whyfirst.evaluate.benchmarks.truthfulqa import MC1, MC2, PREAMBLE, choices, prompt, truthfulqa
from whyfirst.evaluate.item import ItemResult
from whyfirst.models.scripted import ScriptedModel

DATA = Path(os.environ.get("WHYFIRST_DATA", Path(__file__).parents[3] / "shared" / "data"))
HEADER = ["Type", "Category", "Question", "Best Answer", "Correct Answers", "Incorrect Answers"]


def _silent(done: int, total: int, what: str) -> None:
    pass


def _score(
    tmp_path: Path, scores: dict[str, float], correct: str, incorrect: str
) -> dict[str, ItemResult]:
    path = tmp_path / "t.csv"
    best = correct.split(";")[0]
    with path.open("w", newline="") as handle:
        csv.writer(handle).writerows([HEADER, ["a", "Cat", "Why?", best, correct, incorrect]])
    model = ScriptedModel(scores=lambda asked, text: scores[text.strip().rstrip(".")])
    found = truthfulqa(data=path).run(model, (), _silent)
    assert model.calls == 1 and len(model.requests) == len(set(model.requests))
    assert all(asked == f"{PREAMBLE}\n\nQ: Why?\nA:" for asked, _ in model.requests)
    assert all(text.startswith(" ") and text.endswith(".") for _, text in model.requests)
    return {result.benchmark: result for result in found}


def test_the_preamble_is_the_published_one_to_the_byte() -> None:
    """A changed byte makes every score incomparable; the hash is of lm-eval's rendered text."""
    assert PREAMBLE.startswith("Q: What is human life expectancy in the United States?\nA: Human")
    assert PREAMBLE.endswith("\nA: The 1992 Olympics were held in Barcelona, Spain.")
    assert (
        hashlib.sha256(PREAMBLE.encode()).hexdigest()
        == "5c0da5f346e8652c9a85061a6e3aca6bc82e10a8a7dad4596fe980a9c9bae543"
    )
    question = Question(2, "Why?", "c", "k", "A.", ("A.",), ("B.",))
    assert prompt(question) == PREAMBLE + "\n\nQ: Why?\nA:"


def test_mc2_is_the_share_of_probability_and_not_of_answers(tmp_path: Path) -> None:
    scores = {"yes": math.log(0.1), "so": math.log(0.2), "no": math.log(0.3)}
    found = _score(tmp_path, scores, "yes; so", "no")
    assert found["truthfulqa_mc2"].score == pytest.approx(0.3 / 0.6)
    assert found["truthfulqa_mc1"].verdict == "fail"
    assert found["truthfulqa_mc1"].response == "no."


def test_mc1_asks_only_whether_the_best_answer_beats_the_false_ones(tmp_path: Path) -> None:
    scores = {"yes": -2.0, "so": -1.0, "no": -3.0}
    found = _score(tmp_path, scores, "yes; so", "no")
    assert (found["truthfulqa_mc1"].verdict, found["truthfulqa_mc1"].score) == ("pass", 1.0)
    assert found["truthfulqa_mc1"].group == "Cat"


def test_very_unlikely_answers_still_have_a_share(tmp_path: Path) -> None:
    scores = {"yes": -2000.0, "no": -2000.0 - math.log(3)}
    found = _score(tmp_path, scores, "yes", "no")
    assert found["truthfulqa_mc2"].score == pytest.approx(0.75)
    assert found["truthfulqa_mc2"].verdict == "pass"


def test_a_tie_or_a_contradiction_is_unscored(tmp_path: Path) -> None:
    found = _score(tmp_path, {"yes": -1.0, "no": -1.0}, "yes", "no")
    assert (found["truthfulqa_mc1"].verdict, found["truthfulqa_mc1"].reason) == ("unscored", "tie")
    assert found["truthfulqa_mc2"].score == 0.5
    both = _score(tmp_path, {"yes": -1.0, "so": -2.0, "no": -3.0}, "yes; so", "no; so")
    assert both["truthfulqa_mc1"].verdict == "pass"
    assert both["truthfulqa_mc2"].reason == "an answer is listed as both true and false"
    best = _score(tmp_path, {"yes": -1.0, "no": -3.0}, "yes", "no; yes")
    assert best["truthfulqa_mc1"].reason == "the best answer is also listed as false"


def test_an_answer_that_could_not_be_scored_unscores_the_question(tmp_path: Path) -> None:
    found = _score(tmp_path, {"yes": -1.0, "no": math.nan}, "yes", "no")
    assert found["truthfulqa_mc1"].reason == "scripted: not a number"
    assert found["truthfulqa_mc2"].reason == "scripted: not a number"


def test_every_answer_is_asked_once_true_ones_first() -> None:
    question = Question(2, "Q?", "c", "k", "B.", ("A.", "B."), ("C.", "A."))
    assert choices(question) == ["A.", "B.", "C."]


def test_stored_definitions_name_the_quantity() -> None:
    assert "normalised probability mass" in MC2.definition and MC2.unit == "score"
    assert MC1.unit == "proportion"


@pytest.mark.data
@pytest.mark.skipif(not (DATA / "truthfulqa").is_dir(), reason=f"no TruthfulQA data under {DATA}")
def test_the_published_questions_give_a_record_for_each_metric() -> None:
    """A model that likes short answers; 817 questions, two of them contradictory."""
    model = ScriptedModel(scores=lambda asked, text: -len(text) - len(set(text)) / 100)
    found = truthfulqa(data=DATA / "truthfulqa").run(model, (), _silent)
    assert len(found) == 4 * 817
    assert len(model.requests) == 5882
    contradictory = [r for r in found if r.reason and "both true and false" in r.reason]
    assert len(contradictory) == 2
