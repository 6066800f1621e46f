"""What rewards share that ask a model how likely something is.

The model is the one the reward names by `path`, or the one the stage starts from, unchanged; every
text's beginning is read once (`LanguageModel.loglikelihood`). Leaves out: the policy as it is while
it trains, since a reward that moves with it can't be computed again after a kill.
"""

from collections.abc import Sequence
from typing import Any

from whyfirst.models.base import LanguageModel, Loglikelihood, Message, Prompt
from whyfirst.models.chat import read_turns

TURN = "\n\nHuman: "


def asked(prompt: Any) -> Prompt:
    """A prompt of a reward (text, or messages) as a model takes it."""
    return prompt if isinstance(prompt, str) else read_turns(prompt)


def per_token(found: Loglikelihood) -> float | None:
    """Log-probability a token, nats; None where there is none (too long, or no token)."""
    return None if found.problem or not found.tokens else found.logprob / found.tokens


def said_next(
    model: LanguageModel, prompts: Sequence[Any], said: Sequence[str], next_turns: Sequence[str],
    turn: str = TURN,
) -> list[list[float | None]]:  # fmt: skip
    """Log-probability a token of each of the user's next turns, after each response.

    Args:
        prompts: texts, or messages; those are written by the model's chat template.
        said: the response to each.
        next_turns: what the user might say next.
        turn: what stands between a response and the user's next turn where a prompt is text.

    Returns:
        For each response one number a next turn, None where the model can't say.
    """
    requests = []
    for prompt, response in zip(prompts, said, strict=True):
        if isinstance(prompt, str):
            head = prompt + response + turn
        else:
            marker = next_turns[0]
            chat = (*read_turns(prompt), Message("assistant", response), Message("user", marker))
            written = model.template.render(chat)  # type: ignore[attr-defined]
            head = written[: written.rfind(marker)]
        requests.append((head, next_turns))
    return [[per_token(one) for one in row] for row in model.loglikelihood(requests)]
