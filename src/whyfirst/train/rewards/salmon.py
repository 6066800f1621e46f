"""SALMON: a reward model that is told which principles to judge by.

Sun et al. 2023, "SALMON: Self-Alignment with Instructable Reward Models", arXiv 2310.05910. The
reward model is one that a `reward` stage trained on pairs of the transform `principle_pairs`;
other principles at this stage are another reward from the same model. Leaves out: PPO (any stage
that generates takes it), and drawing principles anew every epoch.
"""

from random import Random
from typing import Any

from whyfirst.data.transforms.principle_pairs import listed
from whyfirst.data.transforms.texts import told_last
from whyfirst.train.rewards import REWARDS, text
from whyfirst.train.rewards.model import reward_model


def length_bonus(tokens: int, most: int = 1024) -> float:
    """5 min(tokens / most, 0.8): what a response of so many tokens is worth besides."""
    return 5 * min(tokens / most, 0.8)


@REWARDS.enter(
    "salmon",
    version="2",
    paper="Sun et al. 2023, arXiv 2310.05910",
    needs="a reward model trained on principle-conditioned pairs (path)",
    tested="the reward model's number of the prompt with its principles; 4 and -6 by hand",
)
def salmon(
    prompts: list[Any],
    completions: list[Any],
    completion_ids: list[list[int]],
    *,
    folder: str,
    principles: tuple[str, ...],
    at_most: int = 3,
    bonus: float = 1.0,
    unfinished: float = -6.0,
    **columns: Any,
) -> list[float | None]:
    """The reward model's number under some principles, and a bonus for length.

    Args:
        principles: what is to be judged by, in words.
        at_most: how many of them a prompt is judged by, drawn by the prompt alone.
        bonus: factor of the bonus, which is 4 at most.
        unfinished: what a response that was cut off gets besides.
    """
    told = []
    for prompt in prompts:
        drawn = Random(text(prompt)).sample(principles, min(at_most, len(principles)))
        told.append(told_last(prompt, listed(drawn)))
    ended = columns.pop("finished", None) or [True] * len(told)
    judged = reward_model(told, completions, completion_ids, ended, folder=folder, **columns)
    return [
        (value or 0.0) + bonus * length_bonus(len(ids)) + (0.0 if whole else unfinished)
        for value, ids, whole in zip(judged, completion_ids, ended, strict=True)
    ]
