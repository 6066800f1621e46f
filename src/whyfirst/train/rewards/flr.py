"""Follow-up likelihood: a response is good if praise is likely to follow it and complaint is not.

Zhang et al. 2024, "Aligning Language Models Using Follow-up Likelihood as Reward Signal", arXiv
2409.13948. The released scripts average the raw logits that one position gives all tokens of a
follow-up, which is no likelihood; this is its mean log-probability a token. Leaves out: the paper's
own forty follow-ups (these are six of each kind, one for each of its categories), and training the
scoring model on feedback.
"""

from typing import Any

from whyfirst.models.base import LanguageModel
from whyfirst.train.rewards import REWARDS, text
from whyfirst.train.rewards.likelihood import TURN, asked, said_next

GOOD = (
    "Thank you, that is exactly what I asked for.",
    "That was clear and easy to follow.",
    "Great, this answers my question completely.",
    "Good point, I had not thought of that.",
    "That is correct, well done.",
    "I like how you put that.",
)
BAD = (
    "That is not what I asked for.",
    "I don't understand what you mean.",
    "You left out half of my question.",
    "That is of no use to me.",
    "That is wrong.",
    "Please don't talk to me like that.",
)


@REWARDS.enter(
    "flr",
    version="2",
    paper="Zhang et al. 2024, arXiv 2409.13948",
    needs="a model that has read dialogues",
    tested="exchanging the lists turns the sign; equal lists give 0; a batch is its rows",
)
def flr(
    prompts: list[Any],
    completions: list[Any],
    completion_ids: list[list[int]],
    *,
    model: LanguageModel,
    good: tuple[str, ...] = GOOD,
    bad: tuple[str, ...] = BAD,
    turn: str = TURN,
    **columns: Any,
) -> list[float | None]:
    """Mean log-probability a token of good next turns less that of bad ones, nats.

    Args:
        good, bad: what a user says after a good response, and after a bad one.
        turn: what stands before a user's turn where a prompt is no chat.
    """
    follow_ups = [*good, *bad]
    if not good or not bad:
        raise ValueError("flr needs good and bad follow-ups, at least one of each")
    heads = asked(model, prompts, columns)
    rows = said_next(model, heads, [text(said) for said in completions], follow_ups, turn)
    rewards: list[float | None] = []
    for row in rows:
        known = [value for value in row if value is not None]
        whole = len(known) == len(row)  # too long for the model's context, and it says nothing
        likely = sum(known[: len(good)]) / len(good) - sum(known[len(good) :]) / len(bad)
        rewards.append(likely if whole else None)
    return rewards
