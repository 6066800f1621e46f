"""Published rewards: each worth by hand what its paper says, and bad input told for what it is."""

import json
import math
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whyfirst.config.room import Use
from whyfirst.models.base import Loglikelihood
from whyfirst.train.rewards import REWARDS
from whyfirst.train.rewards.adaptive_exploration import exploration
from whyfirst.train.rewards.answers import correct, result
from whyfirst.train.rewards.auto_cei import refusal_value
from whyfirst.train.rewards.combine import combined
from whyfirst.train.rewards.confidence import confidence, parts
from whyfirst.train.rewards.gtalign import utilities, welfare
from whyfirst.train.rewards.masa import foretold, meta_reward
from whyfirst.train.rewards.plans import content_scores, order_score, step_score, subsequence
from whyfirst.train.rewards.salmon import length_bonus
from whyfirst.train.rewards.sar import drop
from whyfirst.train.rewards.seq2seq import signs
from whyfirst.train.rewards.step_judgements import Judgement, read, value, written
from whyfirst.train.rewards.structured_plan import number_score


def scored(name: str | Use, said: list[str], **more: Any) -> list[float | None]:
    """A reward of responses to prompts "p"."""
    function = REWARDS.make(name)
    ids = [[0]] * len(said)
    given = function(prompts=["p"] * len(said), completions=said, completion_ids=ids, **more)
    return list(given)


@pytest.mark.parametrize(
    ("reply", "comes_to"),
    [
        ("so \\boxed{12} it is", "12"),
        ("2 + 2\nThe answer is 4.", "4."),
        ("a\nb\n", "b"),
        ("<think>the answer is 9</think> 7", "7"),
        ("<think>the answer is 9", ""),
        ("", ""),
    ],
)
def test_result_is_read_where_none_is(reply: str, comes_to: str) -> None:
    assert result(reply) == comes_to


def test_equal_answers_differ() -> None:
    assert correct("Answer: 1,200.0", 1200)
    assert correct("answer: The Old  Mill.", "the old mill")
    assert not correct("answer: 12", "120")
    assert not correct("", "x")


def test_form_lets_a_loose_thought_pass() -> None:
    said = ["<think>a</think> b", "<think>a</think>", "b", "<think>a<think>b</think> c"]
    assert scored("think_format", said) == [1, 0, 0, 0]


def test_perplexity_saved_by_the_question() -> None:
    assert drop(8, 2) == 0.75
    assert drop(1, 9) == -1  # the ratio is -8
    assert drop(3, 3) == 0


def test_welfare_of_one_is_made_up_for_by_the_other() -> None:
    assert welfare(0.25, 1.0) == 0.5
    assert welfare(0.0, 1e6) == 0.0


def test_payoff_form_pays_without_its_parts() -> None:
    table = {k: {"user": 0.5, "model": 0.5} for k in ("direct", "clarify", "long")}
    whole = (
        f"<thinking>t</thinking><payoff>{json.dumps(table)}</payoff>"
        "<analyze>a</analyze><response>answer: 4</response>"
    )
    user, model = utilities(whole, "4", table)
    brief = math.exp(-2 / 500)

    def sized(n: int, low: int, high: int) -> float:
        return 1 / (1 + math.exp(-0.005 * (n - low))) / (1 + math.exp(-0.005 * (high - n)))

    assert user == pytest.approx(1e-4 + 0.5 + 0.2 * sized(9, 20, 500) + 0.3 * brief)
    assert model == pytest.approx(1e-4 + 0.2 + 0.2 + 0.4 + 0.2 * sized(len(whole), 500, 1000))
    half = whole.replace("clarify", "other")
    assert utilities(half, "4", table)[1] < model - 0.19  # the table lacks a row
    assert scored("gtalign", [whole, "4"], answer=["4", "4"]) == [
        pytest.approx(math.sqrt(user * model)), 0.0
    ]  # fmt: skip


def test_exploration_is_paid_otherwise() -> None:
    assert exploration([True]) == 1
    assert exploration([True, False, False, False]) == 0.5
    assert exploration([False, False, False, True]) == 0.25
    assert exploration([False, False]) == -0.5
    said = ["1. 4", "1. 3\n2. 4", "- 4\n- 4.0", "4", "so:\n1. 4", "1. 5\n2. 6"]
    assert scored("adaptive_exploration", said, answer=["4"] * 6) == [
        2, 1 + 1 / 2, -1, -1, -1, 1 - 1 / 2
    ]  # fmt: skip


def test_more_answers_pay_although_each_is_likely_right() -> None:
    def best(p: float) -> int:
        """The number of independent answers, each right with chance p, that pays best."""

        def paid(n: int) -> float:
            hits = sum(p * (1 - p) ** (k - 1) / math.sqrt(n * k) for k in range(1, n + 1))
            return hits - (1 - p) ** n / n

        return max(range(1, 30), key=paid)

    numbers = [best(p) for p in (0.9, 0.5, 0.2, 0.05)]
    assert numbers[0] == 1
    assert all(a <= b for a, b in pairwise(numbers))
    assert numbers[-1] > 3


ROLLOUTS = [
    {"text": "use modulus here", "correct": True},
    {"text": "modulus a b c d", "correct": True},
    {"text": "guess modulus", "correct": False},
    {"text": "guess again", "correct": False},
]


@pytest.mark.parametrize(("rate", "near"), [(0.5, 1.0), (1.0, 0.1), (0.0, 0.1)])
def test_foretold_pass_rate(rate: float, near: float) -> None:
    assert meta_reward({"pass_rate": rate}, "p", ROLLOUTS) == pytest.approx(near / 3)


def test_foretold_rate_far_off() -> None:
    never = [dict(one, correct=False) for one in ROLLOUTS]
    assert meta_reward({"pass_rate": 1}, "p", never) == pytest.approx(0.01 / 3)


@given(st.floats(0, 1))
def test_another_rate_than_the_empirical_one_is_best(rate: float) -> None:
    told, true = (meta_reward({"pass_rate": r}, "p", ROLLOUTS) for r in (rate, 0.5))
    assert told < true or rate == pytest.approx(0.5)


def test_notions_and_length_against_a_table() -> None:
    def of(**told: Any) -> float:
        return 3 * meta_reward(told, "a guess", ROLLOUTS)

    assert of(notions=["modulus"]) == pytest.approx(1)  # 2 of 2 right, 1 of 2 wrong
    assert of(notions=["modulus", "again"]) == pytest.approx(0.5)
    assert of(notions=["guess"]) == 0  # it stands in the problem
    assert of(length=4) == pytest.approx(1)  # correct ones have 3 and 5 words
    assert of(length=3) == of(length=5) == of(length="4") == 0
    assert foretold('x {"length": 1} then {"length": 2}') == {"length": 2}
    assert foretold("{broken}") == {}


def test_meta_rows_are_scored_by_anothers_attempts() -> None:
    said = ["answer: 1", "answer: 2", '{"pass_rate": 0.5}', '{"pass_rate": 0.5}']
    found = scored(
        "masa", said, task=["a", "a", "a", "b"], answer=["1", "1", None, None],
        meta=[None, None, True, True],
    )  # fmt: skip
    assert found == [1, 0, pytest.approx(1 / 3), None]
    own = scored("masa", said[2:3], task=["a"], meta=[True], rollouts=[ROLLOUTS])
    assert own == [pytest.approx(1 / 3)]


def test_giving_up_pays_before_its_time() -> None:
    assert refusal_value(3, 3, 1) == 0
    values = [refusal_value(x, 3, 0.5) for x in range(8)]
    assert all(a < b for a, b in pairwise(values))
    assert refusal_value(1e4, 3, 1) == pytest.approx(1)
    assert refusal_value(-1e4, 3, 1) == pytest.approx(-1)
    assert refusal_value(3 + 4, 3, 1) == pytest.approx(2 / 1.1 - 1)  # e^-c2 4 sigma = 0.1
    said = ["answer: 4", "answer: 5", "a\nb\nc\nI don't know", "I don't know"]
    given = scored("auto_cei", said, answer=["4"] * 4)
    assert given[:3] == [1, -1, 0]
    assert given[3] == pytest.approx(refusal_value(0, 3, 1))


def test_confidence_of_reasoning_is_summed_and_of_the_answer_averaged() -> None:
    reasoning, whole = Loglikelihood(-0.1 - 0.3, 2), Loglikelihood(-0.4 - 0.2 - 0.4 - 0.1, 5)
    assert confidence(reasoning, whole) == pytest.approx(-0.9)
    assert parts("<think>a</think> b") == ("<think>a</think>", " b")
    assert parts("first\nAnswer: 2") == ("first\n", "Answer: 2")
    assert parts("2") == ("", "2")


STEP = {"action": "mix", "objects": ["a", "b"], "parameters": {"for": 3}}
PLAN = [STEP, {"action": "rest"}, {"action": "cut", "objects": ["c"]}]


def test_steps_of_a_plan_by_hand() -> None:
    assert step_score(STEP, STEP, 0, 4) == 1.5
    assert step_score(STEP, STEP, 4, 4) == 0
    assert step_score(STEP, STEP, 2, 4) == pytest.approx(1.5 * (1 - 0.5**1.5))
    assert step_score({**STEP, "objects": ["a"]}, STEP, 0, 4) == 1.0  # 1/2, and parameters count
    assert step_score({**STEP, "objects": ["c"]}, STEP, 0, 4) == 0.0
    assert order_score(["a", "b", "c", "d"], ["b", "a", "c", "d"]) == 0.75
    assert order_score([], []) == 1
    swapped = [PLAN[1], PLAN[0], PLAN[2]]
    assert content_scores(swapped, PLAN, 4)[2] == 1.5
    assert content_scores(swapped, PLAN, 4)[0] < 1.5
    assert subsequence(["a", "c"], ["a", "b", "c"]) and subsequence(["a", "b"], ["a"])
    assert not subsequence(["b", "a"], ["a", "b", "c"])


def test_parameters_in_a_list_and_objects_alone_go_unread() -> None:
    listed = {"action": "mix", "objects": "a", "parameters": ["3 min", "37 C"]}
    assert step_score(listed, listed, 0, 4) == 1.5
    assert step_score({**listed, "parameters": ["3 min"]}, listed, 0, 4) == 1.25
    assert step_score({**listed, "parameters": {"for": "3 min"}}, listed, 0, 4) == 1.0
    assert step_score({**listed, "objects": "b"}, listed, 0, 4) == 0.0


def test_a_plan_by_hand() -> None:
    assert [number_score(n, 5) for n in (5, 4, 3, 2, 1)] == pytest.approx(
        [1, math.cos(math.pi / 6), math.cos(math.pi / 3), 0, 0]
    )
    five = [{"action": name} for name in "abcde"]  # no objects, as wanted: each is worth 1.5
    said = [json.dumps(one) for one in (five[:4], five[:2], [five[1], five[0], *five[2:]])]
    assert scored("structured_plan", said, plan=[five] * 3) == pytest.approx(
        [math.cos(math.pi / 6), 0, (0 + 1.5 * (2 * (1 - 0.2**1.5) + 3) / 5) / 2.5]
    )
    lenient = Use(name="structured_plan", order="lcs", content="longer")
    assert scored(lenient, said[:1], plan=[five]) == pytest.approx(
        [math.cos(math.pi / 6) * (8 / 9 + 1.5 * 4 / 5) / 2.5]
    )


def test_an_equal_plan_is_not_worth_most() -> None:
    said = [json.dumps(PLAN), json.dumps(PLAN[:2]), json.dumps([PLAN[1], PLAN[0], PLAN[2]]), "no",
            '[{"objects": []}]']  # fmt: skip
    whole, short, swapped, nothing, malformed = scored("structured_plan", said, plan=[PLAN] * 5)
    assert whole == pytest.approx(1)
    assert short == 0  # of three steps none may be missing
    assert 0 < swapped < 1  # type: ignore[operator]
    assert nothing == malformed == 0


def test_sign_changes_elsewhere_than_at_the_first_difference() -> None:
    assert signs([True, True, True]) == [1, 1, 1]
    assert signs([True, False, True, False]) == [1, -1, 0, -1]
    assert signs([]) == []


def test_judgements_are_read_otherwise_than_written() -> None:
    given = [Judgement(1, "adds", True), Judgement(2, "é", False, "3"), Judgement(3, "", True)]
    assert read("Here:\n" + written(given), 3) == given
    assert value(given) == pytest.approx(1 / 3)
    assert value(given[:1]) == 1
    assert read(written(given), 2) is None  # one too many
    assert read(written(given[1:]), 2) is None  # the first step is missing
    assert read('{"step": 1, "right": "yes"}', 1) is None


def test_length_bonus() -> None:
    assert [length_bonus(n) for n in (0, 512, 10**6)] == [0, 2.5, 4.0]


def test_combinations_by_hand() -> None:
    rows = {"a": [0.25, 1.0, None], "b": [1.0, 0.0, 4.0]}
    even = {"a": 1.0, "b": 1.0}
    assert combined(rows, even) == [1.25, 1.0, 4.0]
    assert combined(rows, even, "geometric") == [0.5, 0.0, 4.0]
    assert combined(rows, {"a": 3.0, "b": 1.0}, "geometric")[0] == pytest.approx(0.25**0.75)
    with pytest.raises(ValueError, match="reward 'a' gave -1 for response 2"):
        combined({"a": [1.0, -1.0]}, {"a": 1.0}, "geometric")
    normal = combined({"a": [0.0, 2.0], "b": [5.0, 5.0]}, even, "normalised")
    assert normal == [-1, 1]  # equal rewards say nothing
    by = combined({"a": [0.0, 2.0, 10.0, 30.0]}, {"a": 1.0}, "sum", ["x", "x", "y", "y"])
    assert by == [-1, 1, -1, 1]


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=9), st.floats(0.1, 9), st.floats(-9, 9))
def test_normalised_rewards_keep_scale_or_shift(row: list[float], a: float, b: float) -> None:
    one = combined({"r": row}, {"r": 1.0}, "normalised")
    assert sum(one) == pytest.approx(0, abs=1e-6)
    if max(row) - min(row) > 1e-3:
        moved = combined({"r": [a * x + b for x in row]}, {"r": 1.0}, "normalised")
        assert moved == pytest.approx(one, abs=1e-5)
