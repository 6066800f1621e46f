"""Demonstrations: judged, in the field's columns, and with what else they fit."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from corpus_helpers import HHH, WillingModel, few_ideas

from whyfirst.config.errors import UserError
from whyfirst.explain.demonstrate import Options, demonstrate, require_model
from whyfirst.explain.lists import ask_lists, read_list
from whyfirst.explain.plan import Domains, Ideas, Subdomains, plan_with
from whyfirst.explain.tested import PromptSet
from whyfirst.explain.write import TeacherStopped
from whyfirst.models.base import Chat, Sampling, asked

_PLACES = ["boats", "bread", "roofs", "bees", "snow", "tax", "music", "glass", "maps", "wells"]


def _people(prompt: Chat) -> str:
    """Teacher and judge in one: requests, responses, verdicts."""
    text = prompt[-1].content
    if "Answer with one word" in text:
        slipped, honest = "SLIP" in text, "says what it has grounds" in text
        if "both kinds" in text and not slipped:
            return "FOLLOWS"
        return ("BREAKS" if slipped else "FOLLOWS") if honest else "UNRELATED"
    if "[{" in text:
        place = re.search(r"Setting: ([^;]*);", text)
        assert place
        rows = [{"request": f"{place.group(1)}: {p} {i} how sure are you of this {p} matter today"}
                for i, p in enumerate(_PLACES)]  # fmt: skip
        return "Here you are:\n```json\n" + json.dumps(rows) + "\n```"
    system = prompt[0].content
    answer = "SLIP it is surely so." if "it slips" in system else "I am fairly sure, not certain."
    if "boats" in text:
        answer += " This does both kinds of good."
    return f"<think>let me see</think> {answer}" if "<think>" in system else answer


def _made(
    folder: Path, answer: Any = _people, tested: Any = (), **options: Any
) -> list[dict[str, Any]]:
    plan = few_ideas()
    honest = [a for a in plan.assertions if a.value == "honest"]
    plan = type(plan)(tuple(honest), plan.types, plan.subdomains, plan.ideas)
    model = WillingModel(answer)
    return demonstrate(HHH, plan, model, model, Options(**options), folder, tested=tested)


def test_demonstrations_have_the_field_s_columns_and_what_they_fit(tmp_path: Path) -> None:
    rows = _made(tmp_path, rows=12)
    assert len(rows) == 12 == len({row["id"] for row in rows})
    assert rows[0]["prompt"][0]["role"] == "user"
    assert rows[0]["completion"][0]["role"] == "assistant"
    assert all("honest" in row["fits"] for row in rows)
    assert len({row["subdomain"] for row in rows}) > 2


def test_pairs_hold_a_response_that_follows_and_one_that_breaks(tmp_path: Path) -> None:
    for row in _made(tmp_path, rows=8, pairs=True):
        assert "SLIP" in row["rejected"][0]["content"] and "SLIP" not in row["chosen"][0]["content"]


def test_narrow_and_ambiguous_sets_keep_what_the_judge_says_they_fit(tmp_path: Path) -> None:
    narrow = _made(tmp_path / "n", rows=6, scope="narrow")
    assert all(row["fits"] == ["honest"] for row in narrow)
    wide = _made(tmp_path / "w", rows=2, scope="ambiguous")
    assert all(len(row["fits"]) == 3 and "boats" in row["prompt"][0]["content"] for row in wide)


def test_reasoning_is_there_when_wanted_and_not_judged(tmp_path: Path) -> None:
    rows = _made(tmp_path, rows=4, reasoning=True)
    assert all(row["completion"][0]["content"].startswith("<think>") for row in rows)

    def thinks(prompt: Chat) -> str:
        return f"A SLIP? FOLLOWS or BREAKS?</think>{_people(prompt)}"

    unasked = _made(tmp_path / "unasked", thinks, rows=4)
    assert not any("think>" in row["completion"][0]["content"] for row in unasked)


def test_requests_that_a_benchmark_asks_are_left_out(tmp_path: Path) -> None:
    taken = _made(tmp_path / "a", rows=6)[0]["prompt"][0]["content"]
    rows = _made(tmp_path / "b", rows=6, tested=[PromptSet("quiz", (taken,))])
    assert taken not in [row["prompt"][0]["content"] for row in rows]


def test_another_seed_only_reorders(tmp_path: Path) -> None:
    """Requests and responses were drawn with the model's own seed, whatever `--seed` said."""
    seeds: set[int] = set()

    class Drawing(WillingModel):
        def generate(self, prompts: Any, n: int = 1, sampling: Sampling = Sampling()) -> Any:  # noqa: B008
            seeds.update({sampling.seed} if sampling.temperature else ())
            return super().generate(prompts, n, sampling)

    model = Drawing(_people)
    demonstrate(HHH, few_ideas(), model, model, Options(1, seed=7), tmp_path)
    assert seeds == {7}


def test_a_refusing_teacher_is_stopped_early_and_named(tmp_path: Path) -> None:
    def refuses(prompt: Chat) -> str:
        if "Answer with one word" in prompt[-1].content:
            return "UNRELATED"
        return _people(prompt) if "[{" in prompt[-1].content else "No."

    with pytest.raises(TeacherStopped, match=r"0 of 200 demonstrations .*off value 16"):
        _made(tmp_path, refuses, rows=200)


def test_the_grammar_is_no_writer_of_demonstrations() -> None:
    with pytest.raises(UserError, match="need a language model"):
        require_model(None)


def test_lists_are_read_out_of_chatter_and_asked_for_again() -> None:
    assert read_list('<think>[1]</think>ok [{"a": "x"}, {"a": ""}, {"b": 1}]', ("a",)) == [
        {"a": "x"}
    ]
    assert read_list("none", ("a",)) is None and read_list("[]", ("a",)) is None
    replies = iter(["no", '[{"a": "x"}]'])
    model = WillingModel(lambda prompt: next(replies))
    assert ask_lists(model, [asked("q")], ("a",), Sampling(), "things") == [[{"a": "x"}]]
    with pytest.raises(UserError, match="no usable list of things in 3 tries"):
        ask_lists(WillingModel(lambda p: "no"), [asked("q")], ("a",), Sampling(), "things")


def test_a_model_s_plan_is_written_level_by_level_and_respects_pruning(tmp_path: Path) -> None:
    def plans(prompt: Chat) -> str:
        text = prompt[-1].content
        keys = re.findall(r'"(\w+)": "…"', text)
        return json.dumps([{key: f"{key} {i}" for key in keys} for i in range(2)])

    model = WillingModel(plans)
    levels = plan_with(model, HHH, tmp_path, domains=2, subdomains=2, ideas=2)
    assert isinstance(levels["domains"], Domains) and isinstance(levels["ideas"], Ideas)
    assert len(levels["ideas"].ideas) == 8 and len(model.asked) == 1 + 2 + 4
    (tmp_path / "subdomains.yaml").unlink()
    (tmp_path / "ideas.yaml").unlink()
    place = tmp_path / "domains.yaml"
    place.write_text(place.read_text().replace("keep: true", "keep: false", 1))
    again = WillingModel(plans)
    levels = plan_with(again, HHH, tmp_path, domains=2, subdomains=2, ideas=2)
    assert (
        isinstance(levels["subdomains"], Subdomains) and len(levels["subdomains"].subdomains) == 2
    )
    assert len(again.asked) == 1 + 2  # one domain's subdomains, two subdomains' ideas


def test_a_small_model_s_numbered_list_is_read_where_rows_have_one_key() -> None:
    """A 135M model writes a plain list; three tries at JSON were minutes without a row."""
    reply = 'Here are some:\n1. How do I say no?\n2) "What is fair here?"\n- Who decides?\nDone.'
    asked_for = [{"request": "How do I say no?"}, {"request": "What is fair here?"},
                 {"request": "Who decides?"}]  # fmt: skip
    assert read_list(reply, ("request",)) == asked_for
    assert read_list(reply, ("request", "reason")) is None


def test_rows_are_on_disk_before_the_last_batch(tmp_path: Path) -> None:
    """A run ended after eight minutes had kept no row."""
    seen: list[int] = []
    plan = few_ideas()
    model = WillingModel(_people)

    def look(kept: int, wanted: int) -> None:
        lines = (tmp_path / "demonstrations.jsonl").read_text().splitlines()
        assert len(lines) == kept <= wanted
        seen.append(kept)

    demonstrate(HHH, plan, model, model, Options(rows=8), tmp_path, on_batch=look)
    assert seen[0] <= 2 and seen[-1] == 8 and len(seen) > 1
