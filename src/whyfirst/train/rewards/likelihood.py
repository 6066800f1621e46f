"""What rewards share that ask a model how likely something is.

The model is the one the reward names by `path`, or the one the stage starts from, unchanged; every
text's beginning is read once (`LanguageModel.loglikelihood`), and a prompt is asked as in training
(`as_trained`). Leaves out: the policy as it is while it trains, since a reward that moves with it
can't be computed again after a kill.
"""

from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import Any

from whyfirst.data.asking import as_trained
from whyfirst.models.base import LanguageModel, Loglikelihood, Message, Prompt

TURN = "\n\nHuman: "


def asked(
    model: LanguageModel, prompts: Sequence[Any], columns: Mapping[str, Sequence[Any]]
) -> list[Prompt]:
    """Prompts of a reward (texts, or messages) as a stage that trains on them asks the model.

    Args:
        columns: the reward's; `format` is the stage's, of each prompt.
    """
    tokenizer = model.tokenizer  # type: ignore[attr-defined]
    formats = columns.get("format") or repeat(None)
    return [as_trained(tokenizer, *one) for one in zip(prompts, formats, strict=False)]


def per_token(found: Loglikelihood) -> float | None:
    """Log-probability a token, nats; None where there is none (too long, or no token)."""
    return None if found.problem or not found.tokens else found.logprob / found.tokens


def said_next(
    model: LanguageModel, prompts: Sequence[Prompt], said: Sequence[str], next_turns: Sequence[str],
    turn: str = TURN,
) -> list[list[float | None]]:  # fmt: skip
    """Log-probability a token of each of the user's next turns, after each response.

    Args:
        prompts: as the model is asked (`asked`); chats are written by its chat template.
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
            # Where the template puts a reply, whatever space it begins with.
            reply = Message("assistant", response.lstrip(" "))
            chat = (*prompt, reply, Message("user", marker))
            written = model.template.render(chat)  # type: ignore[attr-defined]
            head = written[: written.rfind(marker)]
        requests.append((head, next_turns))
    return [[per_token(one) for one in row] for row in model.loglikelihood(requests)]
