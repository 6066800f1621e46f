"""What follows a text, as text, of the tokens that follow its tokens.

The one way from an answer's tokens back to a text that is put behind another: for answers, for
partial answers that a search goes on with, and for responses that a reward reads behind their
prompt. Leaves out: the white space a chat template puts before a reply (`chat`).
"""

from collections.abc import Sequence
from typing import Any


def lead(tokenizer: Any, before: Sequence[int], tokens: Sequence[int]) -> str:
    """The space that parts `tokens` from `before` and is lost where they are decoded alone.

    Word-level and SentencePiece tokenizers write a space between two words and none before the
    first one: "the" + " cat" would come back as "thecat". Empty where nothing is lost.
    """
    if not before or not tokens:
        return ""
    one, both, alone = (
        tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        for ids in (before[-1:], [before[-1], tokens[0]], tokens[:1])
    )
    # After a special token, or in the middle of a character, there is no word to be parted from.
    parted = one and both.startswith(one) and both[len(one) :].startswith(" ")
    return " " if parted and not one[-1].isspace() and not alone.startswith(" ") else ""


def following(tokenizer: Any, before: Sequence[int], tokens: Sequence[int]) -> str:
    """The text of `tokens` behind the text of `before`, without special tokens."""
    text = tokenizer.decode(
        list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
    return lead(tokenizer, before, tokens) + str(text)
