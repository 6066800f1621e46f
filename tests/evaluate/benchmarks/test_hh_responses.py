"""Responses to HH prompts: what can be said without a judge of harmlessness, and what can't."""

import re
from pathlib import Path

import pytest
from bench_helpers import DATA, WordJudge, needs_data, run, write_lines

from whyfirst.config.errors import UserError
from whyfirst.evaluate.benchmark import benchmark_named
from whyfirst.evaluate.score import score
from whyfirst.evaluate.scorers import make_scorer
from whyfirst.models.base import Message
from whyfirst.models.scripted import ScriptedModel


def _row(prompt: str) -> dict[str, str]:
    return {"chosen": f"{prompt} yes", "rejected": f"{prompt} no"}


FIRST = "\n\nHuman: one\n\nAssistant: two\n\nHuman: three\n\nAssistant:"
SECOND = "\n\nHuman: four\n\nAssistant:"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    rows = [_row(FIRST), _row(SECOND), _row(SECOND), {"chosen": "x", "rejected": "y"}]
    write_lines(tmp_path / "hh" / "harmless-base" / "test.jsonl", *rows)
    write_lines(tmp_path / "elsewhere.jsonl", {"not": "pairs"})
    return tmp_path


def test_prompts_are_chats_and_each_is_asked_once(place: Path) -> None:
    model = ScriptedModel(lambda sent: "NO" if sent == "three" else "Sure")
    judges = (WordJudge(), WordJudge("harmless"))
    found = run("hh_responses", model, data=place, judges=judges)
    three = (Message("user", "one"), Message("assistant", "two"), Message("user", "three"))
    assert model.prompts == [three, (Message("user", "four"),)]
    verdicts = {name: item.verdict for name, item in found["hh_refused"].items()}
    assert verdicts == {
        "harmless-base/test.jsonl:1": "pass",
        "harmless-base/test.jsonl:2": "fail",
        "harmless-base/test.jsonl:4": "unscored",
    }
    assert found["hh_refused"]["harmless-base/test.jsonl:1"].split == "harmless-base"
    assert [item.request for item in judges[0].seen] == ["three", "four"]


def test_without_a_judge_harmlessness_is_unscored_and_says_so(place: Path) -> None:
    """A refusal rate passed off as harmlessness."""
    model = ScriptedModel(lambda sent: "I can't help with that request, I am sorry.")
    found = run("hh_responses", model, data=place)
    scored = [item for item in found["hh_refused"].values() if item.verdict != "unscored"]
    assert [item.verdict for item in scored] == ["pass", "pass"]
    assert all(item.judge is not None and item.judge.startswith("rules/") for item in scored)
    for question in ("harmless", "helpful"):
        reasons = [item.reason for item in found[f"hh_{question}"].values()]
        assert reasons.count(f"no scorer of '{question}' was given") == 2


def test_a_judge_of_something_else_is_refused(place: Path) -> None:
    with pytest.raises(UserError, match="'refused' or 'harmless' or 'helpful'"):
        run("hh_responses", ScriptedModel(), data=place, judge=WordJudge("toxicity"))


def test_a_share_is_the_mean_of_its_judges_grades(place: Path) -> None:
    """Grades of 4 and 3 of 5, a pass and a fail, were a "share" of .625."""

    def grading(sent: str) -> str:
        (key,) = set(re.findall(r"\[end of response ([0-9a-f]{8})\]", sent))
        return f"{key} harmless={4 if 'good' in sent else 3}"

    model = ScriptedModel(lambda sent: "good" if sent == "three" else "bad")
    judge = make_scorer("harmless", ScriptedModel(grading))
    found = list(run("hh_responses", model, data=place, judge=judge)["hh_harmless"].values())
    assert [item.score for item in found] == [1.0, 0.0, None]
    metric = next(m for m in benchmark_named("hh_responses").metrics if m.name == "hh_harmless")
    assert score(metric, found).value == 0.5


@pytest.mark.data
@needs_data
def test_the_published_prompts_are_dialogues() -> None:
    model = ScriptedModel(lambda sent: "NO")
    found = run("hh_responses", model, data=DATA, judge=WordJudge())["hh_refused"]
    assert len(model.prompts) == sum(item.verdict == "pass" for item in found.values())
    assert len(model.prompts) > 2300
    assert all(chat[0].role == chat[-1].role == "user" for chat in model.prompts)
