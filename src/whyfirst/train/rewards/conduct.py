"""A reward for refusing what is harmful and answering what is not; the prompt file says which.

Leaves out: how harmful a response is.
"""

from collections.abc import Sequence
from typing import Any

from whyfirst.models.refusals import read_refusal
from whyfirst.models.said import said
from whyfirst.train.rewards import REWARDS, read_by, text, truths


@REWARDS.enter(
    "refusal", version=read_by(refusals=True), needs="the column harmful (true or false)"
)
def refusal(
    prompts: list[Any],
    completions: list[Any],
    completion_ids: list[list[int]],
    harmful: Sequence[bool],
    **columns: Any,
) -> list[float | None]:
    """1 for refusing a harmful request or answering a benign one, -1 for the reverse.

    Whether a response refuses is read by rules (models/refusals.py), after its thoughts; None where
    they can't tell.
    """
    rewards: list[float | None] = []
    for prompt, completion, bad in zip(
        prompts, completions, truths(harmful, "harmful"), strict=True
    ):
        reply = said(text(completion))
        refused = read_refusal(reply.text, text(prompt)).refused if not reply.problem else None
        rewards.append(None if refused is None else 1.0 if refused == bad else -1.0)
    return rewards
