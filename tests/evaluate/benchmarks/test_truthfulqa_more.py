"""TruthfulQA beyond MC1 and MC2: the two-option setting and generation."""

from pathlib import Path

import pytest
from bench_helpers import DATA, WordJudge, needs_data, run, write_csv

from whyfirst.config.errors import UserError
from whyfirst.evaluate.benchmarks.truthfulqa import PREAMBLE
from whyfirst.models.scripted import ScriptedModel

OLD = ["Type", "Category", "Question", "Best Answer", "Correct Answers", "Incorrect Answers"]
NEW = [*OLD, "Best Incorrect Answer"]
ROW = ["a", "Cat", "Why?", "yes", "yes; so", "no; never"]


def _model(alone: dict[str, float], letters: dict[tuple[str, str], float]) -> ScriptedModel:
    """`letters`: (answer shown first, letter) -> score."""

    def score(asked: str, text: str) -> float:
        if text in (" (A)", " (B)"):
            first = asked.split("(A) ")[1].split("\n")[0]
            return letters[first, text]
        return alone[text.strip().rstrip(".")]

    return ScriptedModel(scores=score)


LETTERS = {
    ("yes.", " (A)"): -1.0, ("yes.", " (B)"): -2.0, ("no.", " (A)"): -1.0, ("no.", " (B)"): -3.0,
}  # fmt: skip
ALONE = {"yes": -2.0, "so": -1.0, "no": -3.0, "never": -1.5, "false": -1.9}


def test_two_options_by_hand(tmp_path: Path) -> None:
    """MC0 asks one rival only; shown letters, always A is right in one order of two."""
    path = write_csv(tmp_path / "t.csv", NEW, [*ROW, "no"])
    model = _model(ALONE, LETTERS)
    found = {
        metric: items["truthfulqa:2"]
        for metric, items in run("truthfulqa", model, data=path).items()
    }
    assert found["truthfulqa_mc1"].verdict == "fail"  # "never" beats "yes"
    assert found["truthfulqa_mc0"].verdict == "pass"  # "no" doesn't
    assert found["truthfulqa_mc0_letters"].score == 0.5
    assert found["truthfulqa_mc0_letters"].verdict == "fail"
    shown = [asked for asked, text in model.requests if text == " (A)"]
    assert shown == [
        f"{PREAMBLE}\n\nQ: Why?\n(A) yes.\n(B) no.\nA:",
        f"{PREAMBLE}\n\nQ: Why?\n(A) no.\n(B) yes.\nA:",
    ]


def test_content_alone_scores_one_and_a_tie_is_unscored(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "t.csv", NEW, [*ROW, "no"])
    right = LETTERS | {("no.", " (B)"): -0.5}
    found = run("truthfulqa", _model(ALONE, right), data=path)
    item = found["truthfulqa_mc0_letters"]["truthfulqa:2"]
    assert (item.score, item.verdict) == (1.0, "pass")
    tied = LETTERS | {("no.", " (B)"): -1.0}
    found = run("truthfulqa", _model(ALONE | {"no": -2.0}, tied), data=path)
    assert found["truthfulqa_mc0"]["truthfulqa:2"].reason == "tie"
    assert found["truthfulqa_mc0_letters"]["truthfulqa:2"].reason == "tie"


def test_a_rival_outside_the_list_is_asked_without_touching_mc1_and_mc2(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "t.csv", NEW, [*ROW, "false"])
    letters = LETTERS | {("false.", " (A)"): -1.0, ("false.", " (B)"): -3.0}
    found = run("truthfulqa", _model(ALONE, letters), data=path)
    assert found["truthfulqa_mc0"]["truthfulqa:2"].response == "false."
    old = run("truthfulqa", _model(ALONE, {}), data=write_csv(tmp_path / "o.csv", OLD, ROW))
    for metric in ("truthfulqa_mc1", "truthfulqa_mc2"):
        assert found[metric] == old[metric]


def test_the_old_file_says_that_it_has_no_two_options(tmp_path: Path) -> None:
    found = run("truthfulqa", _model(ALONE, {}), data=write_csv(tmp_path / "o.csv", OLD, ROW))
    for metric in ("truthfulqa_mc0", "truthfulqa_mc0_letters"):
        assert "has no 'Best Incorrect Answer' column" in str(found[metric]["truthfulqa:2"].reason)


def test_generation_needs_both_judges_and_says_which(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "o.csv", OLD, ROW)
    model = ScriptedModel(lambda sent: "x")
    with pytest.raises(UserError, match="'truthful', from a judging model"):
        run("truthfulqa_generation", model, data=path)
    with pytest.raises(UserError, match="'informative', from a judging model"):
        run("truthfulqa_generation", model, data=path, judge=WordJudge("truthful"))
    assert model.calls == 0


def test_both_holds_only_where_either_does(tmp_path: Path) -> None:
    class Short(WordJudge):
        name = "short"

        def _one(self, item, response):  # type: ignore[no-untyped-def]
            return super()._one(item, "NO" if len(response) > 4 else "yes")

    rows = [[*ROW[:2], name, *ROW[3:]] for name in ("A?", "B?", "C?", "D?")]
    path = write_csv(tmp_path / "o.csv", OLD, *rows)
    said = {"A?": "NO long", "B?": "NO", "C?": "long one", "D?": "? unread"}
    model = ScriptedModel(lambda sent: said[sent.split("Q: ")[-1].split("\n")[0]] + "\n\nQ: more")
    judges = (WordJudge("truthful"), Short("informative"))
    found = run("truthfulqa_generation", model, data=path, judges=judges)
    table = {metric: [item.verdict for item in items.values()] for metric, items in found.items()}
    assert table == {
        "truthfulqa_truthful": ["pass", "pass", "fail", "unscored"],
        "truthfulqa_informative": ["pass", "fail", "pass", "pass"],
        "truthfulqa_both": ["pass", "fail", "fail", "unscored"],
    }
    assert found["truthfulqa_both"]["truthfulqa:2"].judge == "word/1 + short/1"
    assert found["truthfulqa_truthful"]["truthfulqa:2"].response == "NO long"


@pytest.mark.data
@needs_data
def test_the_revision_has_both_settings_for_all_790() -> None:
    model = ScriptedModel(scores=lambda asked, text: -len(text) - len(set(asked)) / 100)
    found = run("truthfulqa", model, data=DATA / "truthfulqa" / "TruthfulQA_2025.csv")
    assert {metric: len(items) for metric, items in found.items()} == dict.fromkeys(found, 790)
    # Both letters have one length: every order is a tie for this model.
    assert {i.reason for i in found["truthfulqa_mc0_letters"].values()} == {"tie"}
    scored = [i for i in found["truthfulqa_mc0"].values() if i.verdict != "unscored"]
    assert len(scored) > 700


def test_the_judges_see_the_reference_answers(tmp_path: Path) -> None:
    """A judge was asked whether an answer is true without the file's own answers."""
    seen = []

    class Noting(WordJudge):
        def _one(self, item, response):  # type: ignore[no-untyped-def]
            seen.append((item.correct, item.incorrect))
            return super()._one(item, response)

    path = write_csv(tmp_path / "o.csv", OLD, ROW)
    judges = (Noting("truthful"), WordJudge("informative"))
    run("truthfulqa_generation", ScriptedModel(lambda sent: "NO"), data=path, judges=judges)
    ((correct, incorrect),) = seen
    assert correct and incorrect and not set(correct) & set(incorrect)
