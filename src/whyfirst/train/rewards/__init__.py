"""Rewards of responses, by name: functions in TRL's signature, entered with `@REWARDS.enter`.

A reward is called as `f(prompts, completions, completion_ids, **columns)` with one entry a response
in every list and returns as many numbers; None says that it can't score that response. Prompts and
completions are texts, or lists of messages where the file's prompts are. `columns` holds the prompt
file's columns and `finished` (the response ended by itself); a column that stands among the
function's parameters without a default is one it can't do without. Keyword-only parameters are its
options, but for what the stage gives (the room's context):

- ``folder``: of the model named by `path` in the file, or trained by the study's reward stage;
- ``model``: the `LanguageModel` in the folder `path`, or the one the stage starts from, unchanged.

A reward that reads what a reply says, or whether it declines, has `read_by` for its version.

A `Labeler` judges several responses to one prompt; `lift` makes one of any reward. Leaves out:
summing and checking (`combine`).
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from whyfirst.config.room import Entry, Room
from whyfirst.data.rows import text_of
from whyfirst.models import refusals as declined
from whyfirst.models import said

Reward = Callable[..., list[float | None]]
text = text_of
"""The words of a prompt or completion: a text as it is, or its messages' contents."""
REWARDS: Room[list[float | None]] = Room("rewards", __name__, context=("folder", "model"))

_GIVEN = ("prompts", "completions", "completion_ids", "finished")


@dataclass(frozen=True)
class Feedback:
    """What a labeler says of K responses to one prompt.

    Attributes:
        scores: of each response, more is better; None where it can't say.
        margin: the best score less the second best; None where fewer than two have one.
        critiques: of each response in words, where the labeler gives any.
    """

    scores: list[float | None]
    margin: float | None
    critiques: list[str | None] = field(default_factory=list)


# By what replies were read when rewards began to count it: what they were known by stays.
_READ_BEFORE = {"said": "3", "refusals": "2"}


def read_by(version: str = "1", *, refusals: bool = False) -> str:
    """The version of a reward that reads replies: its own, and what has changed of the reading.

    Args:
        version: its own.
        refusals: it reads whether a reply declines (`models.refusals`), and not only what it says.
    """
    now = {"said": said.VERSION} | ({"refusals": declined.VERSION} if refusals else {})
    changed = [f"{name} {now[name]}" for name in now if now[name] != _READ_BEFORE[name]]
    return ", ".join([version, *changed])


Labeler = Callable[[str, Sequence[str]], Feedback]


def lift(
    reward: Reward, tokenize: Callable[[str], list[int]], columns: Mapping[str, Any] | None = None
) -> Labeler:
    """A labeler that scores with a reward.

    Args:
        tokenize: from a response to its tokens, for rewards that count them.
        columns: what the reward reads besides, the same for every response.
    """

    def label(prompt: str, responses: Sequence[str]) -> Feedback:
        count = len(responses)
        scores = reward(
            prompts=[prompt] * count,
            completions=list(responses),
            completion_ids=[tokenize(response) for response in responses],
            finished=[True] * count,
            **{name: [value] * count for name, value in (columns or {}).items()},
        )
        ranked = sorted((s for s in scores if s is not None), reverse=True)
        return Feedback(list(scores), ranked[0] - ranked[1] if len(ranked) > 1 else None)

    return label


def truths(column: Sequence[Any], name: str) -> list[bool]:
    """A column of truth values.

    Raises:
        ValueError: one that is something else: of a CSV file "false" is a text, and would be true.
    """
    for value in column:
        if not isinstance(value, bool):
            raise ValueError(f"{name!r} must be true or false; found {value!r}")
    return list(column)


def columns_of(entry: Entry[Any]) -> list[str]:
    """The prompt file's columns a reward can't do without."""
    positional = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return [
        parameter.name
        for parameter in inspect.signature(entry.function).parameters.values()
        if parameter.kind is positional
        and parameter.default is parameter.empty
        and parameter.name not in _GIVEN
    ]
