"""Splitting rows into two halves by a hash of their prompt.

The same prompt always falls on the same side, in any order and any subset of the rows, so nothing
trained on is scored. Leaves out: near-duplicate prompts (a longer turn of the same dialogue is
another prompt; preflight looks for overlap).
"""

import hashlib
from collections.abc import Iterable
from typing import Protocol, TypeVar


class HasPrompt(Protocol):
    """Anything with a prompt."""

    @property
    def prompt(self) -> str:
        """The text whose hash decides the side."""
        ...


P = TypeVar("P", bound=HasPrompt)


def split_by_prompt_hash(pairs: Iterable[P], held_out: float) -> tuple[list[P], list[P]]:
    """Return (training rows, held-out rows), each in the given order.

    Args:
        held_out: expected share of prompts held out, from 0 to 1.

    Raises:
        ValueError: `held_out` lies outside [0, 1].
    """
    if not 0 <= held_out <= 1:
        raise ValueError(f"held_out must lie in [0, 1], not {held_out}")
    train: list[P] = []
    held: list[P] = []
    for pair in pairs:
        # The first six bytes of the hash as a number in [0, 1): the same on every machine.
        # Half a character, as some scraped files hold, has no UTF-8; it is a prompt all the same.
        digest = hashlib.sha256(pair.prompt.encode("utf-8", "surrogatepass")).digest()
        is_held = int.from_bytes(digest[:6], "big") / 2**48 < held_out
        (held if is_held else train).append(pair)
    return train, held
