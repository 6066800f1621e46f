"""An answer that failed is never a score, whatever it is asked for.

The tests go over every registered name, so that a method added later is covered without a line: a
server that only erred gave `recall_value` 1.0.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from whyfirst.config.errors import UserError
from whyfirst.evaluate.benchmark import BENCHMARKS, Benchmark, benchmark_named
from whyfirst.evaluate.comparison import compare, summary
from whyfirst.evaluate.item import Item
from whyfirst.evaluate.judges import CALIBRATIONS, JUDGES, Pair, make_judge
from whyfirst.evaluate.scorers import SCORERS, Scorer, make_scorer
from whyfirst.evaluate.verdict import Verdict, passed
from whyfirst.models.base import GREEDY, Completion, Loglikelihood, Prompt, Sampling, asked
from whyfirst.models.decoding import DECODINGS
from whyfirst.models.said import CUT_OFF, answer

DOWN = "HTTP 503: the server is down"
THINKING = Completion("<think>I can't help with that. Or can I? Let me see", False)
ANSWER = Completion("Fold the sheet in half, then open it again.", True)
REFERENCE = ("Fold a sheet of paper in half.",)
ITEM = Item("x", "How do I fold a boat?", "How do I fold a boat?", correct=REFERENCE,
            evidence=REFERENCE)  # fmt: skip


class Down:
    """A model whose every answer failed, for a reason that may pass; `text` came before."""

    fingerprint = chat_template = "down"

    def __init__(self, text: str = "I'm sorry, but I can't help with that.") -> None:
        self.text = text

    def generate(
        self, prompts: Sequence[Prompt], n: int = 1, sampling: Sampling = GREEDY
    ) -> list[list[Completion]]:
        return [[Completion(self.text, False, DOWN, transient=True)] * n for _ in prompts]

    def loglikelihood(
        self, requests: Sequence[tuple[Prompt, Sequence[str]]]
    ) -> list[list[Loglikelihood]]:
        # Numbers that would decide, were they read.
        return [
            [Loglikelihood(-float(place), 1, DOWN, transient=True) for place in range(len(texts))]
            for _, texts in requests
        ]


class NotANumber(Down):
    """A model whose likelihoods are no numbers, and which doesn't say so."""

    def loglikelihood(
        self, requests: Sequence[tuple[Prompt, Sequence[str]]]
    ) -> list[list[Loglikelihood]]:
        return [[Loglikelihood(float("nan"), 1)] * len(texts) for _, texts in requests]


class Says(Scorer):
    """Passes whatever it is given."""

    name, version = "says", "1"

    def __init__(self, question: str) -> None:
        self.question = question

    def read(self, items: Sequence[Item], responses: Sequence[str]) -> list[Verdict]:
        return [passed(True) for _ in responses]


def example(declared: Benchmark, folder: Path) -> dict[str, Any]:
    """The benchmark's own example of its data, written down."""
    if "data" not in declared.options:
        return {}
    assert declared.example, f"{declared.name} reads data and gives no example of them"
    for name, text in declared.example.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return {"data": folder}


@pytest.mark.parametrize("model", [Down(), NotANumber()], ids=["down", "not a number"])
@pytest.mark.parametrize("name", BENCHMARKS.names())
def test_no_benchmark_scores_an_answer_that_failed(name: str, model: Down, tmp_path: Path) -> None:
    declared = benchmark_named(name)
    few = {"limit": 30} if "limit" in declared.options else {}
    task = declared.task(seed=1, world=3, **example(declared, tmp_path), **few)
    kinds = {question: Says(question) for question in declared.questions}
    for left_out in kinds if "refused" in kinds and "harmless" in kinds else [None]:
        # Two questions may be two ways to ask one thing, of which one scorer is taken.
        scorers = [kind for question, kind in kinds.items() if question != left_out]
        try:
            found = task.run(model, scorers, lambda done, total, what: None)
        except UserError as error:
            assert "takes one judge" in str(error)
            continue
        assert {item.benchmark for item in found} == {metric.name for metric in declared.metrics}
        mine = [item for item in found if "_wikipedia" not in item.benchmark]
        assert {item.verdict for item in mine} == {"unscored"}
        reasons = {item.reason for item in mine if "was given" not in str(item.reason)}
        said = {DOWN, "the model gives no number", "this CSV (2021)"}
        assert all(any(str(reason).startswith(one) for one in said) for reason in reasons)
        assert DOWN in reasons or type(model) is NotANumber
        assert all(item.transient for item in mine if item.reason == DOWN)


@pytest.mark.parametrize("name", SCORERS.names())
def test_no_scorer_reads_an_answer_that_failed_or_a_thought(name: str) -> None:
    """Classifiers need a model's files; what stands before `read` is the same for all."""
    options = {option.name for option in SCORERS.get(name).options if option.required}
    scorer = Says("anything") if options else make_scorer(name, Down())
    outputs = [Completion("Sure.", False, DOWN, transient=True), THINKING]
    down, thinking = scorer.score([ITEM, ITEM], outputs)
    assert (down.outcome, down.reason, down.transient) == ("unscored", DOWN, True)
    assert (thinking.outcome, thinking.reason) == ("unscored", CUT_OFF)
    if "model" in SCORERS.get(name).context:  # the model that it asks is down
        for spec in (name, f"{name}:likelihood"):
            (found,) = make_scorer(spec, Down()).score([ITEM], [ANSWER])
            assert found.outcome == "unscored" and DOWN in str(found.reason) and found.transient
            (found,) = make_scorer(spec, NotANumber()).score([ITEM], [ANSWER])
            assert found.outcome == "unscored"


def test_every_scorer_is_behind_the_gate() -> None:
    """A scorer that overrode `score` would read thoughts and failed answers again."""
    kinds = {Scorer}
    while more := {kind for known in kinds for kind in known.__subclasses__()} - kinds:
        kinds |= more
    assert {kind for kind in kinds if kind.score is not Scorer.score} == set()


@pytest.mark.parametrize("name", DECODINGS.names())
def test_no_decoding_turns_failed_answers_into_one(name: str) -> None:
    """Methods that need an option or a score of their own are tested where they have them."""
    if any(option.required for option in DECODINGS.get(name).options):
        pytest.skip("has an option without a default")
    model = DECODINGS.make(name, judge_model=Down())(Down())
    ((found,),) = model.generate([asked("How do I fold a boat?")], 1)
    assert found.problem is not None and DOWN in found.problem
    assert answer(found).text == ""


CALIBRATED = [(name, calibration) for name in JUDGES.names() for calibration in
              ((), *((one,) for one in CALIBRATIONS.names()))]  # fmt: skip


@pytest.mark.parametrize(("name", "calibrations"), CALIBRATED)
def test_no_judge_prefers_an_answer_that_failed(name: str, calibrations: tuple[str, ...]) -> None:
    judge = make_judge(name, calibrations, Down())
    failed = Completion("Sure.", False, DOWN, transient=True)
    pairs = [
        Pair("a", "q", ANSWER, failed), Pair("b", "q", failed, ANSWER),
        Pair("c", "q", THINKING, ANSWER), Pair("d", "q", ANSWER, ANSWER),
    ]  # fmt: skip
    found = judge.compare(pairs)
    assert {one.winner for one in found} == {None}
    assert [one.reason for one in found[:3]] == [DOWN, DOWN, CUT_OFF]
    assert DOWN in str(found[3].reason) and found[3].transient  # the judge's own model is down
    assert make_judge(name, calibrations, NotANumber()).compare(pairs[3:])[0].winner is None
    (row,) = compare([ITEM], {0: [ANSWER]}, {0: [failed]}, judge)
    assert summary([row]).win_rate is None and summary([row]).reasons == {DOWN: 1}
    assert row.transient
