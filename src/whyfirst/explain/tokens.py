"""How long a text is, in the tokens of a tokenizer or, without one, in words and marks.

Leaves out: tokenizing for training (`train/encode.py`).
"""

import re
from collections.abc import Callable
from pathlib import Path

from whyfirst.config.errors import UserError

CountTokens = Callable[[str], int]

_PIECE = re.compile(r"\w+|[^\w\s]")
PIECES = "words and marks"


def count_pieces(text: str) -> int:
    """Words and punctuation marks: about three quarters of what a tokenizer counts."""
    return len(_PIECE.findall(text))


def counter(place: str | None) -> CountTokens:
    """`tokenizer_counter` of a place, and `count_pieces` for None."""
    return count_pieces if place is None else tokenizer_counter(place)


def tokenizer_counter(place: str | Path) -> CountTokens:
    """A counter with a tokenizer's own tokens, and one for the document's end, as studies count.

    Raises:
        UserError: no tokenizer there.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(str(place))
    except (OSError, ValueError) as error:
        first = str(error).splitlines()[0]
        raise UserError(f"{place}: no tokenizer can be loaded from there: {first}") from None

    def count(text: str) -> int:
        # The end token is trained on as well: a corpus of many short documents has more of them.
        return len(tokenizer(text, add_special_tokens=False)["input_ids"]) + 1

    return count
