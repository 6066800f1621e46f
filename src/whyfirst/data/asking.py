"""A prompt of a data file as a model is asked it.

The one rule, for training, for rewards that ask a model and for transforms that do: where the
tokenizer has a chat template, a prompt given as text is a chat as well (its one user turn, or the
turns of an HH dialogue), unless the stage says `format: text`. Leaves out: what a template makes of
a chat (`models/chat.py`).
"""

from typing import Any

from whyfirst.data.hh_rlhf import dialogue
from whyfirst.models import chat
from whyfirst.models.base import Chat, Prompt, asked


def as_trained(tokenizer: Any, prompt: Any, written: str | None) -> Prompt:
    """A prompt as a model is asked it that was trained on it with `format: written`."""
    if isinstance(prompt, str) and (written == "text" or tokenizer.chat_template is None):
        return prompt
    return turns_of(prompt, "prompt")


def turns_of(value: Any, key: str) -> Chat:
    """The turns of a text, or of the messages in the column `key`.

    Raises:
        ValueError: messages of another shape; names the key.
    """
    if isinstance(value, str):
        return dialogue(value) or asked(value)
    try:
        return chat.read_turns(value)
    except ValueError as error:
        raise ValueError(f"'{key}' {error}") from error
