"""Rewards of responses, by name: functions in TRL's signature, entered with `@reward`.

A reward is called as `f(prompts, completions, completion_ids, **columns)` with one entry a response
in every list and returns as many numbers; None says that it can't score that response. `columns`
holds the prompt file's columns and `finished` (the response ended by itself). Prompts and
completions are texts, or lists of messages where the file's prompts are. Keyword-only parameters
are the reward's options in a stage's config. Leaves out: summing and checking (`combine`).
"""

from collections.abc import Callable
from typing import Any, TypeVar

from whyfirst.config.registry import Registry

Reward = Callable[..., list[float | None]]
R = TypeVar("R", bound=Reward)

REWARDS: Registry[Reward] = Registry(
    "rewards",
    modules=(
        "whyfirst.train.rewards.conduct",
        "whyfirst.train.rewards.model",
        "whyfirst.train.rewards.wording",
    ),
)


def reward(name: str, columns: tuple[str, ...] = ()) -> Callable[[R], R]:
    """Decorator: enter a reward under `name`.

    Args:
        columns: the prompt file's columns it cannot do without; checked before training.
    """

    def enter(function: R) -> R:
        function.columns = columns  # type: ignore[attr-defined]
        return REWARDS.register(name)(function)

    return enter


def text(completion: str | list[dict[str, Any]]) -> str:
    """The words of a prompt or completion: a text as it is, or its messages' contents."""
    if isinstance(completion, str):
        return completion
    return "\n".join(str(message["content"]) for message in completion)
