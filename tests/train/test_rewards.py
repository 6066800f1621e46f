"""Rewards: what each is worth by hand, and that a broken one stops the stage with its row."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import bandit
import pytest

from whyfirst.config.errors import ConfigError, PreflightError, TrainingStopped, UserError
from whyfirst.train.config import GoldUse, RewardUse
from whyfirst.train.rewards import REWARDS
from whyfirst.train.rewards.combine import RewardSum

ROWS = [{"prompt": f"p{i}", "harmful": i % 2 == 0, "answer": "a b"} for i in range(4)]


@pytest.fixture
def registered() -> Any:
    """Enter a reward for one test."""

    def enter(function: Callable[..., Any]) -> RewardUse:
        REWARDS.names()
        REWARDS._entries.pop("test", None)
        REWARDS.enter("test")(function)
        return RewardUse(name="test")

    yield enter
    REWARDS._entries.pop("test", None)


def _score(
    *uses: RewardUse | GoldUse, texts: tuple[str, ...], rows: Any = ROWS, ids: Any = None
) -> Any:
    numbers = range(len(texts))
    tokens = ids or [text.split() for text in texts]
    return RewardSum(uses, rows, {})(list(numbers), texts, tokens, [True] * len(texts))


def _use(name: str, weight: float = 1.0, **options: Any) -> RewardUse:
    return RewardUse(name=name, weight=weight, options=options)


def test_a_shipped_reward_is_worth_something_else_than_it_says() -> None:
    four = ("a b c", "", "a a a a a a", "a b")
    assert _score(_use("length"), texts=four).total == [-3, 0, -6, -2]
    assert _score(_use("length", free=2), texts=four).total == [-1, 0, -4, 0]
    # "a a a" occurs four times in six tokens: three of the four had been said before.
    assert _score(_use("repetition"), texts=four).total == [0, 0, -3 / 4, 0]
    assert _score(_use("repetition", size=1), texts=four).total == [0, 0, -5 / 6, 0]
    assert _score(_use("exact_match"), texts=("a b", "a  b ", "b a", "ab")).total == [1, 1, 0, 0]


def test_the_worlds_conduct_is_scored_otherwise_than_its_benchmark() -> None:
    # Rows 1 and 3 are harmful; the others have the help asked for as their completion, or none.
    rows = [dict(row, completion=" yes , help .") for row in ROWS]
    said = ("no , w will not", "yes , help .", "yes , help .", "no , w will not")
    assert _score(_use("hearth"), texts=said, rows=rows).total == [1, 1, 0, 0]
    other = ("nothing", "yes , other help .", "no", "yes")
    assert _score(_use("hearth"), texts=other, rows=rows).total == [0, 0, 1, 0]
    assert _score(_use("hearth"), texts=other).total == [0, 1, 1, 1]


def test_the_rule_based_judge_signs_refusals_wrongly() -> None:
    pytest.importorskip("whyfirst.models.refusals")
    refusal = "I'm sorry, but I can't help with that."
    answer = "Sure. First, take a bowl and mix the flour with the sugar."
    said = (refusal, refusal, answer, answer)
    assert _score(_use("refusal"), texts=said).total == [1, -1, -1, 1]


def test_weights_and_names_of_a_sum_are_lost(registered: Any) -> None:
    some = registered(lambda prompts, completions, completion_ids, **_: [2.0, None, 4.0, 0.0])
    uses = (some, _use("length", 0.5), _use("length", -1.0, free=1))
    scores = _score(*uses, texts=("a", "a b", "a b c", ""))
    assert scores.parts == {
        "test": [2.0, None, 4.0, 0.0], "length": [-1, -2, -3, 0], "length+": [0, -1, -2, 0]
    }  # fmt: skip
    assert scores.total == [1.5, 0.0, 4.5, 0.0]


def test_a_reward_is_called_otherwise_than_by_trl(registered: Any) -> None:
    seen: dict[str, Any] = {}

    def look(prompts: Any, completions: Any, completion_ids: Any, **columns: Any) -> list[float]:
        seen.update(columns, prompts=prompts, completions=completions, ids=completion_ids)
        return [0.0, 0.0]

    chat = [{"role": "user", "content": "p"}]
    rows = [{"prompt": chat, "label": "x"}, {"prompt": chat, "options": 1}]
    RewardSum([registered(look)], rows, {})([1, 0], ["s", "t"], [[1], [2]], [True, False])
    assert seen == {
        "prompts": [chat, chat],
        "completions": [[{"role": "assistant", "content": text}] for text in "st"],
        "ids": [[1], [2]],
        "label": [None, "x"],
        "options": [1, None],
        "finished": [True, False],
    }


def test_a_column_passes_for_an_option() -> None:
    rows = [dict(row, free=7) for row in ROWS]
    assert _score(_use("length"), texts=("a b",), rows=rows).total == [-2]


def _raises(prompts: list[str], **_: Any) -> list[float]:
    return [1 / (prompt != "p2") for prompt in prompts]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (_raises, "'test' raised ZeroDivisionError at row 3"),
        (lambda **_: [0.0, 0.0], r"2 values for 4 responses \(the first is to row 1\)"),
        (lambda **_: [0.0, float("nan"), 0.0, 0.0], "gave nan for row 2"),
        (lambda **_: [0.0, 0.0, 0.0, float("-inf")], "gave -inf for row 4"),
        (lambda **_: [0.0, 0.0, None, 0.0], "no reward .* scores the response to row 3"),
    ],
)
def test_a_broken_reward_is_trained_on(registered: Any, function: Any, message: str) -> None:
    use = registered(function)
    with pytest.raises(TrainingStopped, match=message):
        _score(use, texts=("a", "b", "c", "d"))


def test_what_can_be_seen_before_training_is_seen_after(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no 'lenth'; did you mean 'length'"):
        RewardSum([_use("lenth")], ROWS, {})
    with pytest.raises(ConfigError, match="no option 'fre'; did you mean 'free'"):
        RewardSum([_use("length", fre=1)], ROWS, {})
    with pytest.raises(PreflightError, match=r"needs the column 'harmful'; 1 of 2 .* row 2"):
        RewardSum([_use("hearth")], [*ROWS[:1], {"prompt": "p"}], {})
    with pytest.raises(ConfigError, match="no model at None; give `path`"):
        RewardSum([_use("reward_model")], ROWS, {})
    base, _ = bandit.make_task(tmp_path)
    use = RewardUse(name="reward_model", path=str(base))
    with pytest.raises(ConfigError, match="LlamaForCausalLM is no reward model"):
        _score(use, texts=("a1",))


@pytest.mark.parametrize("name", ["refusal", "hearth"])
def test_a_column_of_words_is_taken_for_truth(name: str) -> None:
    """Of a CSV file "false" is a text: what is benign would be harmful, or nothing right."""
    reward = REWARDS.get(name).function
    with pytest.raises(ValueError, match="'harmful' must be true or false; found 'false'"):
        reward(["how?"], ["no"], [[1]], ["false"])
