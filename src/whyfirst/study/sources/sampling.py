"""Responses that the current model draws to the prompts of a corpus, kept as drawn, and labelled.

Each prompt's draws depend on nothing but the model, the prompt and the seed, so that a run killed
half-way goes on where it stopped and ends with the same rows. Labels are a stage's rewards, or a
judge's of pairs. Leaves out: what is made of the responses (the sources beside this), labels from
people, and rewards with a model of their own.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from whyfirst.config.room import Room, Use
from whyfirst.data.rows import text_of
from whyfirst.evaluate.judges import Pair, make_judge
from whyfirst.models.base import Completion, LanguageModel, Sampling
from whyfirst.models.replies import KeptModel
from whyfirst.train.config_base import PromptFormat
from whyfirst.train.config_rl import RewardUse, asks_folder, named
from whyfirst.train.rewards import REWARDS

Rows = Sequence[dict[str, Any]]
Progress = Callable[[int, int, str], None]
AT_ONCE = 64
"""Prompts a call: what a kill can cost."""
CUT = "responses cut off at `max_new_tokens`"
WHOLE = {"responses": "whole"}
"""Tells corpora from those in which a response that was cut off was given an end."""


def without_responses(row: Mapping[str, Any]) -> dict[str, Any]:
    """A prompt's row less the responses it came with, which would stand beside those drawn."""
    given = ("completion", "chosen", "rejected", "responses", "labels", "scores", "ranks")
    return {key: value for key, value in row.items() if key not in given}


def reasons(left_out: Counter[str]) -> str:
    """Why prompts and responses were left out, the commonest reason first, each with its count."""
    return ", ".join(f"{why} ({count})" for why, count in left_out.most_common())


def within_cap(rows: Rows, k: int, length: int, most: int | None) -> list[dict[str, Any]]:
    """The first prompts whose responses, all as long as they may be, stay under a cap of tokens."""
    return list(rows if most is None else rows[: most // (k * length)])


def sampled(
    model: Any, rows: Rows, k: int, sampling: Sampling, kept: Path,
    progress: Progress, prompts_as: PromptFormat = None, left_out: Counter[str] | None = None,
) -> list[list[str]]:  # fmt: skip
    """Whole responses of `k` to each row's prompt, as the stage that reads them writes the prompt.

    One that was cut off is none: a stage would train its end where the length ran out.

    Args:
        prompts_as: of prompts given as text (`Stage.format`).
        left_out: takes the count of those that were cut off.

    Raises:
        DataError: a row without a prompt.
    """
    prompts = as_asked(model, rows, prompts_as)
    keeps = KeptModel(model, kept, AT_ONCE)
    found: list[list[str]] = []
    cut = 0
    for start in range(0, len(prompts), AT_ONCE):
        for row in keeps.generate(prompts[start : start + AT_ONCE], k, sampling):
            # One that failed (a prompt over the context) is no response.
            said = [one for one in row if one.problem is None]
            found.append([continued(model.tokenizer, one.text) for one in said if one.finished])
            cut += len(said) - len(found[-1])
        progress(len(found), len(prompts), "prompts")
    if left_out is not None:
        left_out.update({CUT: cut} if cut else {})
    return found


def continued(tokenizer: Any, text: str) -> str:
    """A response as it stands behind its prompt.

    A tokenizer of whole words drops the space that a reply begins with when it is decoded; without
    it the reply's first word would run into the prompt's last one.
    """
    spaced = f" {text}"
    same = tokenizer(spaced, add_special_tokens=False) == tokenizer(text, add_special_tokens=False)
    return spaced if same and not text[:1].isspace() else text


def as_asked(model: Any, rows: Rows, prompts_as: PromptFormat = None) -> list[str]:
    """Each row's prompt as text, written as the stage that reads the responses would write it.

    Raises:
        DataError: a row without a prompt.
    """
    from whyfirst.train.prompts import prompts_of

    return prompts_of(model.tokenizer, list(rows), Path("prompts"), 0.0, prompts_as).texts


def as_long_as_may_be(
    rows: Sequence[Mapping[str, Any]], k: int, length: int
) -> list[tuple[Mapping[str, Any], list[str]]]:
    """Each row with responses of so many tokens that nobody has written yet, for `plan`."""
    begun = ["word"] * (length - 1)
    longest = [" ".join([*begun, f"word{number}"]) for number in range(k)]  # no two of them alike
    return [(row, list(longest)) for row in rows if text_of(row.get("prompt", ""))]


Labels = list[float | None]
"""Of one prompt's responses, more is better; None where nothing could be said."""


def reward_problems(options: Mapping[str, Any], world: object) -> Iterator[tuple[str | None, str]]:
    """What is wrong with a source's `rewards`: (option, message)."""
    for place, given in enumerate(options["rewards"]):
        use = RewardUse.model_validate(given)
        if use.path is not None or asks_folder(use):
            yield "rewards", f"{use.name}: a corpus has no folder of a model to give it"
        for at, said in REWARDS.problems(named(use)):
            yield "rewards", f"{place}: {'.'.join(map(str, at))}: {said}"


def reward_uses(options: Mapping[str, Any]) -> dict[str, tuple[Room[Any], Use]]:
    """A source's `rewards` as methods, by their place."""
    uses = map(RewardUse.model_validate, options["rewards"])
    return {f"reward {number}": (REWARDS, named(use)) for number, use in enumerate(uses)}


def by_rewards(
    uses: Sequence[RewardUse], rows: Sequence[Mapping[str, Any]], said: Sequence[Sequence[str]],
    model: Any, prompts_as: PromptFormat = None,
) -> list[Labels]:  # fmt: skip
    """Each response's rewards, summed by weight and read with its row's columns, as in training.

    Args:
        model: that drew them, and that rewards may ask.
        prompts_as: as in `sampled`; rewards read it in a column.

    Raises:
        UserError: a row lacks a column that a reward needs, or a reward fails.
    """
    from whyfirst.train.rewards.combine import RewardSum

    if prompts_as is not None:
        rows = [{**row, "format": prompts_as} for row in rows]
    numbers = [number for number, texts in enumerate(said) for _ in texts]
    texts = [text for texts in said for text in texts]
    ids = [model.tokenizer.encode(text, add_special_tokens=False) for text in texts]
    scores = RewardSum(uses, rows, {}, start=lambda: model)(numbers, texts, ids, [True] * len(ids))
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
            f"{row} {a} {b}", text_of(rows[row]["prompt"]),
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
