"""The files of docs/own-data.md: a first study with rows, a value, a benchmark and a reward."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from whyfirst.config import plugins
from whyfirst.config.room import Use
from whyfirst.constitution import load_constitution
from whyfirst.data.rows import iter_rows, prompts_in, read_rows
from whyfirst.evaluate.benchmark import BENCHMARKS, benchmark_named
from whyfirst.evaluate.scorers import SCORERS
from whyfirst.models.scripted import ScriptedModel
from whyfirst.study.config import load_study
from whyfirst.train.rewards import REWARDS

HERE = Path(__file__).parents[2] / "examples" / "own-data"


@pytest.fixture(scope="module", autouse=True)
def own_methods() -> Iterator[None]:
    """The plug-in is loaded here, and nothing of it is left in rooms or environment."""
    with pytest.MonkeyPatch.context() as patch:
        for room in (SCORERS, BENCHMARKS, REWARDS):
            room.names()  # its own are entered first, and stay
            patch.setattr(room, "_entries", dict(room._entries))
        patch.setattr(plugins, "_loaded", dict(plugins._loaded))
        patch.setenv(plugins.VARIABLE, "")
        plugins.use([HERE / "says_where.py"])
        yield


def test_a_row_is_lost_or_says_nothing_of_the_value() -> None:
    rows = read_rows(HERE / "rows.jsonl")
    assert len(rows) == 60 and [row.line for row in rows] == list(range(1, 61))
    reward = REWARDS.make(Use(name="says_where", words=10**9))
    said = [row["completion"][0]["content"] for row in rows]
    assert reward([""] * 60, said, [[]] * 60) == pytest.approx([1.0] * 60, abs=1e-6)
    asked = [row["prompt"][0]["content"] for row in rows]
    tested = [str(row["prompt"]) for row in iter_rows(HERE / "questions.jsonl")]
    prompts = prompts_in(iter_rows(HERE / "prompts.jsonl"), HERE)
    assert not {*asked, *(row["prompt"][0]["content"] for row in prompts)} & set(tested)


def test_a_length_is_rewarded_or_silence_scored() -> None:
    reward = REWARDS.make(Use(name="says_where"))
    said = ["Four hours. To be sure, check the tin.", "Four hours.", " "]
    # 8 words of 30 with a place, 2 of 30 without, none at all.
    found = reward(["q"] * 3, said, [[]] * 3)
    assert found == [pytest.approx(1 - 8 / 30), pytest.approx(-2 / 30), None]


def test_the_benchmark_finds_a_place_where_there_is_none() -> None:
    task = benchmark_named("says_where").task(data=HERE / "questions.jsonl")
    model = ScriptedModel(lambda prompt: "Ask a vet." if "cat" in prompt else "It depends.")
    items = task.run(model, [], lambda *_: None)
    assert [i.verdict for i in items].count("pass") == 1 and len(items) == 12


def test_the_study_names_something_that_is_not_there() -> None:
    study = load_study(HERE / "study.yaml")
    assert study.value in {v.id for v in load_constitution(HERE / "constitution.yaml").values}
    assert list(study.arms) == ["base", "direct", "explain_first", "rewarded"]
