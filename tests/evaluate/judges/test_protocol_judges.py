"""Judges and calibrations of published protocols: each against a judge biased in a known way."""

import json
import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from whyfirst.config.errors import ConfigError, DataError
from whyfirst.config.room import Use
from whyfirst.evaluate.item import Item
from whyfirst.evaluate.judges import (
    CALIBRATIONS,
    Judge,
    Pair,
    Preference,
    Winner,
    idle_calibrations,
    make_judge,
)
from whyfirst.evaluate.judges.auto_j import decision
from whyfirst.evaluate.judges.calibrations.people import LEFT, people
from whyfirst.evaluate.judges.calibrations.self_reference import DISAGREE
from whyfirst.evaluate.judges.href import WITHOUT, Href
from whyfirst.evaluate.judges.people import leave_one_out, scotts_pi, scotts_pi_interval
from whyfirst.evaluate.judges.salmon import dominant
from whyfirst.evaluate.judges.scored import ScoredJudge
from whyfirst.evaluate.scorers import Scorer
from whyfirst.evaluate.verdict import Verdict, unscored
from whyfirst.models.base import Completion, Loglikelihood
from whyfirst.models.embed import lexical
from whyfirst.models.scripted import ScriptedModel


def pair(name: str, a: str, b: str, prompt: str = "Which?") -> Pair:
    return Pair(name, prompt, Completion(a, True), Completion(b, True))


class Says(Judge):
    """A judge of one order, from a function of the pair."""

    name, version, criterion = "says", "1", "better"

    def __init__(self, rule: Callable[[Pair], Preference]) -> None:
        self.rule = rule

    def decide(self, pairs: Sequence[Pair], samples: int) -> list[Preference]:
        return [self.rule(one) for one in pairs]


class Length(Scorer):
    """The longer the better; an empty one can't be scored."""

    name, version, question = "length", "1", "long"

    def read(self, items: Sequence[Item], responses: Sequence[str]) -> list[Verdict]:
        return [Verdict("pass", score=len(r) / 100) if r != "?" else unscored("?")
                for r in responses]  # fmt: skip


def test_two_games_makes_slots_ties_and_a_win_and_a_tie_a_win() -> None:
    first = CALIBRATIONS.make("two_games")(Says(lambda one: Preference("a")))
    assert [p.winner for p in first.compare([pair("x", "a", "b")])] == ["tie"]
    half = Says(lambda one: Preference("a" if one.a.text == "good" else "tie"))
    (found,) = CALIBRATIONS.make("two_games")(half).compare([pair("x", "good", "bad")])
    assert (found.winner, found.consistent) == ("a", False)


def test_additive_position_bias_cancels_in_the_mean_of_both_orders() -> None:
    """FairEval's simulation: bias 1.5 for the first slot, qualities of unit variance."""
    rng = np.random.default_rng(0)
    quality = {f"r{n}": float(q) for n, q in enumerate(rng.normal(size=400))}
    pairs = [pair(str(n), f"r{2 * n}", f"r{2 * n + 1}") for n in range(200)]

    def biased(one: Pair) -> Preference:
        a, b = (quality[x.text] / 20 + 0.5 for x in (one.a, one.b))
        first = a + 1.5 / 20
        return Preference("a" if first > b else "b", scores=(first, b))

    right: list[Winner] = ["a" if quality[p.a.text] > quality[p.b.text] else "b" for p in pairs]
    alone = [p.winner for p in Says(biased).compare(pairs)]
    both = CALIBRATIONS.make("balanced_position")(Says(biased)).compare(pairs)
    assert sum(x != y for x, y in zip(alone, right, strict=True)) > 40
    assert [p.winner for p in both] == right


def test_the_most_diverse_fifth_goes_to_people_and_their_label_decides(tmp_path: Path) -> None:
    drawn: dict[str, tuple[Winner, ...]] = {str(n): ("a",) * 6 for n in range(5)}
    drawn["2"] = ("a", "b") * 3
    drawn["4"] = ("a",) * 5 + ("b",)
    judge = Says(lambda one: Preference("a", samples=drawn[one.id]))
    pairs = [pair(str(n), "x", "y") for n in range(5)]
    found = people(judge).compare(pairs)
    assert [p.reason for p in found] == [None, None, LEFT, None, None]
    labels = tmp_path / "labels.jsonl"
    labels.write_text('{"id": "2", "winner": "b"}\n')
    assert [p.winner for p in people(judge, labels=labels).compare(pairs)] == list("aabaa")
    # Agreement is never asked about, however large the share.
    assert [p.reason for p in people(judge, share=1.0).compare(pairs)].count(LEFT) == 2


def test_labels_turn_with_the_pair_that_a_calibration_swaps(tmp_path: Path) -> None:
    """What people said of the first response was said of whichever was shown first."""
    labels = tmp_path / "labels.jsonl"
    labels.write_text('{"id": "x", "winner": "b"}\n')
    judge = Says(lambda one: Preference("a", samples=("a", "b") * 3))
    for calibration in ("balanced_position", "two_games"):
        asked = people(judge, share=1.0, labels=labels)
        (found,) = CALIBRATIONS.make(calibration)(asked).compare([pair("x", "good", "bad")])
        assert found.winner == "b"


def test_one_label_decides_what_other_seeds_answered(tmp_path: Path) -> None:
    """Responses at every seed have one id, and what people said of one was said of all."""
    judge = Says(lambda one: Preference("a", samples=("a", "b") * 3))
    pairs = [replace(pair("x", "good", "bad"), seed=seed) for seed in (0, 1)]
    labels = tmp_path / "labels.jsonl"

    def told(*rows: str) -> list[Winner | None]:
        labels.write_text("".join(f"{row}\n" for row in rows))
        return [p.winner for p in people(judge, share=1.0, labels=labels).compare(pairs)]

    assert told('{"id": "x", "seed": 1, "winner": "b"}') == [None, "b"]
    for row, said in (
        ('{"id": "x", "winner": "b"}', "row 1: 'x' is judged at several seeds; add its 'seed'"),
        ('{"id": "y", "winner": "b"}', "row 1: no pair 'y' is judged"),
        ('{"id": "x", "seed": 2, "winner": "b"}', "row 1: no pair 'x' at seed 2 is judged"),
    ):
        with pytest.raises(DataError, match=said):
            told(row)


def test_slots_that_decide_within_a_judge_are_no_bias_once_it_is_calibrated() -> None:
    """A judge of both orders makes ties of pairs that its slot decides, and ties agree."""
    model = ScriptedModel(lambda p: f"{re.search(r'response A (.{8})', p)[1]} better=A")  # type: ignore[index]
    for calibration in ("balanced_position", "two_games"):
        judge = make_judge("pairwise", [calibration], model)
        (found,) = judge.compare([pair("x", "good", "bad")])
        assert (found.winner, found.consistent, found.slot) == ("tie", False, "first")


def by_own_answer(prompt: str) -> str:
    """Right where an answer of its own stands in the question, else the first."""
    if "better=" not in prompt:
        return "good"
    found = re.search(r"\[response A (\w+)\]\n(\w+)\n", prompt)
    assert found is not None
    key, a = found.groups()
    own = "judge's own" in prompt
    return f"{key} better={('A' if a == 'good' else 'B') if own else 'A'}"


def test_a_judge_that_is_right_beside_its_own_answer_only_becomes_right() -> None:
    pairs = [pair(str(n), *("good", "bad")[:: 1 if n % 2 else -1]) for n in range(6)]
    model = ScriptedModel(by_own_answer)
    judge = make_judge("pairwise", ["self_reference"], model)
    assert [p.winner for p in judge.compare(pairs)] == ["b", "a"] * 3
    assert len(model.prompts) == 1 + 2 * 6  # one answer of its own to the one request
    assert {p.winner for p in make_judge("pairwise", (), model).compare(pairs)} == {"tie"}


def test_a_judge_locked_to_a_slot_keeps_no_pair() -> None:
    model = ScriptedModel(lambda p: "x" if "better=" not in p else
                          f"{re.search(r'response A (.{8})', p)[1]} better=A")  # fmt: skip
    found = make_judge("pairwise", ["self_reference"], model).compare([pair("x", "good", "bad")])
    assert [p.reason for p in found] == [DISAGREE]


def test_salmon_by_hand() -> None:
    """Two principles of spread 1 on this pair: +2 and -3; the larger one decides, not the sum."""
    table = np.array([[[2.0, 0.0], [2.0, 0.0]], [[-3.0, -1.0], [-3.0, -1.0]]])
    assert dominant(table)[0] == "b"
    assert dominant(-table)[0] == "a"
    # Position bias: preferred in one order, not in the other.
    assert dominant(np.array([[[1.0], [-1.0]]])) == ["tie"]


def test_negating_the_only_principle_turns_every_winner() -> None:
    def score(prompt: str, letter: str) -> float:
        shown = re.findall(r"\[response (\w) \w+\]\n(\w+)\n", prompt)
        return float(len(dict(shown)[letter]))

    pairs = [pair("1", "long", "no"), pair("2", "x", "yes"), pair("3", "same", "size")]
    plain = make_judge("salmon", (), ScriptedModel(scores=score))

    def judged(principle: str) -> list[Winner | None]:
        use = Use.model_validate({"name": "salmon", "principles": [principle]})
        return [p.winner for p in make_judge(use, (), ScriptedModel(scores=score)).compare(pairs)]

    assert judged("is long") == ["a", "b", "tie"]
    assert judged("not is long") == ["b", "a", "tie"]
    assert [p.winner for p in plain.compare(pairs)] == ["a", "b", "tie"]


@pytest.mark.parametrize(
    ("said", "winner"),
    [("A draft: the final decision is Response 1. So, the final decision is Tie", "tie"),
     ("the final decision is: **Response 2**.", "b"), ("Response 1 is nicer.", None)],
)  # fmt: skip
def test_auto_j_reads_the_last_final_decision(said: str, winner: Winner | None) -> None:
    assert decision(Completion(said, True)).winner == winner


def test_auto_j_asks_both_orders() -> None:
    model = ScriptedModel(lambda prompt: "So, the final decision is Response 1")
    (found,) = make_judge("auto_j", (), model).compare([pair("x", "good", "bad")])
    assert (found.winner, found.slot, len(model.prompts)) == ("tie", "first", 2)


def test_a_judge_of_scores_is_blind_to_order() -> None:
    pairs = [pair("1", "longer", "no"), pair("2", "x", "y"), pair("3", "?", "y")]
    judge = ScoredJudge(Length())
    assert [p.winner for p in judge.compare(pairs)] == ["a", "tie", None]
    assert [p.winner for p in judge.compare([p.swapped for p in pairs])] == ["b", "tie", None]
    assert [p.winner for p in ScoredJudge(Length(), margin=0.1).compare(pairs[:1])] == ["tie"]


def test_href_judges_by_category(tmp_path: Path) -> None:
    rows = {"Which?": ("a boat of paper", "closed")}
    model = ScriptedModel(by_own_answer)
    near = Href(model, rows, ["closed"], [], lexical)
    pairs = [pair("1", "paper boat", "iron"), pair("2", "x y", "x y"), pair("3", "iron", "a boat")]
    assert [p.winner for p in near.compare(pairs)] == ["a", "tie", "b"]
    assert model.prompts == []
    shown = Href(model, rows, [], [], lexical)
    shown.compare([pair("1", "good", "bad")])
    assert "a boat of paper" in str(model.prompts[0])
    plain = Href(model, rows, [], ["closed"], lexical)
    plain.compare([pair("1", "good", "bad")])
    assert "a boat of paper" not in str(model.prompts[-1])
    file = tmp_path / "references.jsonl"
    file.write_text(json.dumps({"prompt": "Which?", "reference": "a boat", "category": "closed"}))
    use = Use.model_validate({"name": "href", "references": str(file), "by_similarity": ["closed"]})
    assert make_judge(use, (), model).compare(pairs[:1])[0].winner == "a"


def test_pairs_without_a_persons_answer_count_as_judged_beside_one(tmp_path: Path) -> None:
    """A file whose prompts are written otherwise did nothing, and neither did a slip's category."""
    file = tmp_path / "references.jsonl"
    row = {"prompt": "Human: Which?", "reference": "a boat", "category": "closed"}
    file.write_text(json.dumps(row) + "\n")
    model = ScriptedModel(by_own_answer)
    judge = make_judge(Use.model_validate({"name": "href", "references": str(file)}), (), model)
    assert judge.compare([pair("1", "good", "bad")])[0].reason == WITHOUT
    for options, said in (
        ({"by_similarity": ["closed"]}, "by_similarity: has no effect without `references`"),
        ({"references": str(file), "by_similarity": ["closd"]}, "'closd'; did you mean 'closed'"),
    ):
        with pytest.raises((ConfigError, DataError), match=said):
            make_judge(Use.model_validate({"name": "href", **options}), (), model)


def test_leave_one_out_by_hand() -> None:
    assert leave_one_out([1, 1, 2, 2], 1).inner == 0  # each is the minority of the rest
    assert leave_one_out([1, 1, 1, 2], 1) == (1.0, 0.75)


def test_scotts_pi_by_hand() -> None:
    table = {(1, 1): 20, (1, 0): 5, (0, 1): 10, (0, 0): 15}
    one = [a for (a, _), n in table.items() for _ in range(n)]
    other = [b for (_, b), n in table.items() for _ in range(n)]
    assert scotts_pi(one, other) == pytest.approx((0.7 - 0.505) / (1 - 0.505))
    found = scotts_pi_interval(one, other)
    assert found.low < 0.3939 < found.high
    topics = [n // 10 for n in range(50)]
    wide = scotts_pi_interval(one, other, topics)
    assert wide.high - wide.low > found.high - found.low


EVIDENCE = {"name": "multiple_evidence", "samples": 3}


@pytest.mark.parametrize(
    ("judge", "calibrations", "idle"),
    [
        ("likelier", [EVIDENCE], [0]),
        ("auto_j", [EVIDENCE, "people"], [0, 1]),
        ("pairwise", [EVIDENCE, "people"], []),
        ("href", ["people", EVIDENCE, "balanced_position"], [0]),
        ("pairwise", [{"name": "multiple_evidence", "samples": 1}, "people"], [1]),
        ("likelier", ["balanced_position"], []),
        ("salmon", ["balanced_position"], [0]),
        ("pairwise", ["two_games"], [0]),
        ({"name": "pairwise", "orders": 1}, ["two_games"], []),
        ({"name": "auto_j", "orders": 1}, ["two_games", "two_games"], [1]),
        ("scored", ["two_games", "self_reference"], [0]),
    ],
)
def test_a_calibration_that_the_judge_leaves_nothing_to_do_is_taken(
    judge: str | dict[str, object], calibrations: list[str | dict[str, object]], idle: list[int]
) -> None:
    uses = [Use.model_validate(one) for one in calibrations]
    assert [place for place, _ in idle_calibrations(Use.model_validate(judge), uses)] == idle


@pytest.mark.parametrize("judge", ["likelier", "auto_j", "salmon"])
def test_a_calibration_called_idle_changes_what_the_judge_says(judge: str) -> None:
    """Every calibration told to be idle, run: it changes no winner of any of 30 pairs."""

    class Hashed(ScriptedModel):
        def loglikelihood(self, requests: object) -> list[list[Loglikelihood]]:
            return [
                [Loglikelihood(-1.0 - (zlib.crc32(f"{prompt}{text}".encode()) % 99) / 99, 1)
                 for text in texts]
                for prompt, texts in requests  # type: ignore[attr-defined]
            ]  # fmt: skip

    model = Hashed(lambda p: f"So, the final decision is Response {1 + zlib.crc32(p.encode()) % 2}")
    pairs = [pair(str(n), f"one {n}", f"other {n}", f"question {n}") for n in range(30)]
    plain = [one.winner for one in make_judge(judge, [], model).compare(pairs)]
    assert {"a", "b"} <= set(plain)
    for uses in ([EVIDENCE], [EVIDENCE, "people"], ["balanced_position"], ["two_games"]):
        given = [Use.model_validate(one) for one in uses]
        found = [one.winner for one in make_judge(judge, given, model).compare(pairs)]
        every = len(list(idle_calibrations(Use(name=judge), given))) == len(given)
        assert (found == plain) == every, uses
