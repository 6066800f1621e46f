"""Labels of sampled responses: from a stage's rewards, or from a judge of pairs.

Leaves out: labels from people, and rewards with a model of their own.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from whyfirst.config.room import Room, Use
from whyfirst.evaluate.judges import Pair, make_judge
from whyfirst.models.base import Completion, LanguageModel
from whyfirst.train.config_rl import REWARD_MODEL, RewardUse, named
from whyfirst.train.rewards import REWARDS

Labels = list[float | None]
"""Of one prompt's responses, more is better; None where nothing could be said."""


def reward_problems(options: Mapping[str, Any], world: object) -> Iterator[tuple[str | None, str]]:
    """What is wrong with a source's `rewards`: (option, message)."""
    for place, given in enumerate(options["rewards"]):
        use = RewardUse.model_validate(given)
        if use.path is not None or use.name == REWARD_MODEL:
            yield "rewards", f"{use.name}: a corpus has no folder of a model to give it"
        for at, said in REWARDS.problems(named(use)):
            yield "rewards", f"{place}: {'.'.join(map(str, at))}: {said}"


def reward_uses(options: Mapping[str, Any]) -> dict[str, tuple[Room[Any], Use]]:
    """A source's `rewards` as methods, by their place."""
    uses = map(RewardUse.model_validate, options["rewards"])
    return {f"reward {number}": (REWARDS, named(use)) for number, use in enumerate(uses)}


def by_rewards(
    uses: Sequence[RewardUse], rows: Sequence[Mapping[str, Any]], said: Sequence[Sequence[str]],
    start: str, tokenizer: Any,
) -> list[Labels]:  # fmt: skip
    """Each response's rewards, summed by weight and read with its row's columns, as in training.

    Args:
        start: folder of the model that drew them, for rewards that ask it.

    Raises:
        UserError: a row lacks a column that a reward needs, or a reward fails.
    """
    from whyfirst.train.rewards.combine import START, RewardSum

    numbers = [number for number, texts in enumerate(said) for _ in texts]
    texts = [text for texts in said for text in texts]
    ids = [tokenizer.encode(text, add_special_tokens=False) for text in texts]
    scores = RewardSum(uses, rows, {START: Path(start)})(numbers, texts, ids, [True] * len(texts))
    left = iter(scores.total)
    return [[next(left) for _ in row] for row in said]


def shares_won(
    judge: Use, model: LanguageModel | None, rows: Sequence[Mapping[str, Any]],
    said: Sequence[Sequence[str]],
) -> list[Labels]:  # fmt: skip
    """Of each response the share of its comparisons that it won, a tie half; None without any."""
    pairs = [
        (row, a, b) for row, texts in enumerate(said) for a, b in combinations(range(len(texts)), 2)
    ]
    asked = [
        Pair(
            f"{row} {a} {b}", str(rows[row]["prompt"]),
            Completion(said[row][a], True), Completion(said[row][b], True),
        )
        for row, a, b in pairs
    ]  # fmt: skip
    points: list[list[list[float]]] = [[[] for _ in texts] for texts in said]
    for (row, a, b), found in zip(pairs, make_judge(judge, (), model).compare(asked), strict=True):
        if found.winner is not None:
            won = {"a": 1.0, "tie": 0.5, "b": 0.0}[found.winner]
            points[row][a].append(won)
            points[row][b].append(1.0 - won)
    return [[sum(won) / len(won) if won else None for won in texts] for texts in points]
