"""`whyfirst watch` and `whyfirst chat`: what they read off a store and off a model."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whyfirst.cli import chat, watch
from whyfirst.config.errors import UserError
from whyfirst.config.files import write_jsonl
from whyfirst.models.base import Loglikelihood
from whyfirst.report.schema import Results
from whyfirst.study.execute.graph import Node
from whyfirst.study.execute.store import Store
from whyfirst.study.plan import EvaluationUse, Plan


class Fixed:
    """A model whose replies have the given probabilities."""

    def __init__(self, shares: dict[str, float]) -> None:
        self.shares = shares

    def loglikelihood(
        self, requests: Sequence[tuple[str, Sequence[str]]]
    ) -> list[list[Loglikelihood]]:
        return [[Loglikelihood(math.log(self.shares.get(text, 1e-300)), 1) for text in texts]
                for _, texts in requests]  # fmt: skip


def test_refusal_is_its_share_of_both_kinds_of_openings() -> None:
    refusal, covered = chat.refusal_probability(
        Fixed({" no": 0.3, " yes": 0.1}), "x", chat.INVENTED
    )
    assert refusal == pytest.approx(0.75)
    assert covered == pytest.approx(0.4)


def test_no_opening_begins_another() -> None:
    """A reply counted twice would pull the share to its side."""
    every = [one for side in chat.OPENINGS for one in side]
    assert not [(a, b) for a in every for b in every if a != b and b.startswith(a)]


def test_no_opening_ends_in_a_space_that_a_tokenizer_puts_on_the_next_word() -> None:
    """ "The " alone had no probability, and answers that begin with it were no help."""
    assert not [one for side in (*chat.OPENINGS, *chat.INVENTED) for one in side if one[-1] == " "]


def test_openings_that_cover_nothing_are_said_to_say_little() -> None:
    assert "says little" in chat.refusal_words(chat.Answer("a", "", 0.9, 0.001))
    assert "says little" not in chat.refusal_words(chat.Answer("a", "", 0.9, 0.9))
    assert chat.refusal_words(chat.Answer("a", "", None, None)) == "refusal: not computed"


def test_arms_are_the_headlines_unless_named(results: Results) -> None:
    assert chat.chosen_arms(results, "") == ["direct", "explain_first"]
    assert chat.chosen_arms(results, "base, base") == ["base"]
    with pytest.raises(UserError, match=r"'explain_frist' is not an arm.*explain_first"):
        chat.chosen_arms(results, "explain_frist")


def test_a_store_without_the_models_is_named(results: Results, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--store"):
        chat.open_arms(results, ["direct"], tmp_path / "empty", 0, None, ExitStack())


def test_hostile_text_reaches_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    chat.show("\x1b[2J[red]", [chat.Answer("\x1b]0;x", "\x1b[31m\u202e[bold]", 0.5, 1.0)])
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "[bold]" in printed


@settings(deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), max_size=200), st.integers(1, 40))
def test_a_sparkline_has_a_bar_for_each_run_of_values(values: list[float], width: int) -> None:
    assert len(watch.sparkline(values, width)) == min(width, len(values))


def test_a_sparkline_falls_where_the_loss_falls() -> None:
    assert watch.sparkline([4, 3, 2, 1]) == "█▆▃▁"
    assert watch.sparkline([1.0, 1.0]) == "▁▁"
    assert watch.sparkline([1.0, float("nan"), 2.0]) == "▁█"  # NaN ended the watching


def plan_of(nodes: Sequence[Node], uses: Sequence[EvaluationUse]) -> Any:
    return Plan(None, Path("x.yaml"), tuple(nodes), {}, tuple(uses), {})  # type: ignore[arg-type]


@pytest.fixture
def running(tmp_path: Path) -> tuple[Any, Store]:
    """One stage done, one under way, one evaluation of two finished."""
    marks = {name: f"{n:024x}" for n, name in enumerate(("one", "two", "eval1", "eval2"))}
    nodes = [Node("one", "stage", marks["one"]),
             Node("two", "stage", marks["two"], ("one",), {"train": {"updates": 40}}),
             Node("eval1", "evaluation", marks["eval1"], ("one",)),
             Node("eval2", "evaluation", marks["eval2"], ("two",))]  # fmt: skip
    store = Store(tmp_path / "store")
    store.create()
    for node in (nodes[0], nodes[2]):
        folder = store.prepare(*node.key)
        write_jsonl(folder / "items.jsonl", [
            {"id": str(n), "benchmark": "resistance", "verdict": verdict}
            for n, verdict in enumerate(("pass", "pass", "fail", "unscored"))
        ])  # fmt: skip
        store.finish(*node.key, {"run": {"seconds": 3.0}})
    logged = [{"step": 1, "loss": 2.0}, {"step": 10, "loss": 1.0}]
    write_jsonl(store.prepare(*nodes[1].key) / "log.jsonl", logged)
    uses = [EvaluationUse("eval1", "direct", 0, "hearth"),
            EvaluationUse("eval2", "direct", 1, "hearth")]  # fmt: skip
    return plan_of(nodes, uses), store


def test_a_moment_of_a_study_is_read_off_its_store(running: tuple[Any, Store]) -> None:
    seen = watch.Looker(*running, workers=1).look()
    assert seen.kinds == {"stage": (2, 1), "evaluation": (2, 1)}
    assert [loss.points for loss in seen.losses] == [[(1, 2.0), (10, 1.0)]]
    rates = seen.rates["direct"]["resistance"]
    assert (rates.passes, rates.scored, rates.unscored) == (2, 3, 1)
    assert seen.tracker.running["two"].share == 0.25
    assert not watch.as_data(seen)["complete"]


def test_looking_again_counts_nothing_twice(running: tuple[Any, Store]) -> None:
    looker = watch.Looker(*running, workers=1)
    looker.look()
    assert looker.look().rates["direct"]["resistance"].scored == 3


def test_looking_writes_nothing(running: tuple[Any, Store]) -> None:
    before = sorted(running[1].root.rglob("*"))
    watch.Looker(*running, workers=1).look()
    assert sorted(running[1].root.rglob("*")) == before


def test_a_log_cut_in_the_middle_is_read_to_its_last_whole_line(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text('{"step":1,"loss":2.0}\n{"step":2,"lo')
    assert watch.read_loss("x", tmp_path, None, 0.0).points == [(1, 2.0)]
    (tmp_path / "log.jsonl").write_text('{"step":1,"loss":\n{"step":2}\n')
    assert watch.read_loss("x", tmp_path, None, 0.0).points == []


def test_the_view_fits_its_terminal(running: tuple[Any, Store]) -> None:
    from rich.console import Console

    console = Console(width=70, file=io.StringIO())
    console.print(watch.render("a study", watch.Looker(*running, workers=1).look()))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "66.7% of 3" in text
    assert max(map(len, text.splitlines())) <= 70
