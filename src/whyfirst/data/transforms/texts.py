"""What transforms share: prompts as texts or messages, and similarity of texts without a model.

Leaves out: embedding models; a runner hands one in as `embed`.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Embed = Callable[[Sequence[str]], Floats]
_DIMENSIONS = 512


def words_of(prompt: Any) -> str:
    """A text as it is, or the contents of a list of messages."""
    return prompt if isinstance(prompt, str) else "\n".join(turn["content"] for turn in prompt)


def told_first(prompt: Any, instruction: str) -> Any:
    """The prompt with an instruction before it: a system message, or a first paragraph."""
    if isinstance(prompt, str):
        return f"{instruction}\n\n{prompt}"
    turns = [dict(turn) for turn in prompt]
    if turns and turns[0]["role"] == "system":
        turns[0]["content"] = f"{turns[0]['content']}\n\n{instruction}"
        return turns
    return [{"role": "system", "content": instruction}, *turns]


def told_last(prompt: Any, addition: str) -> Any:
    """The prompt with a paragraph after it, in the last turn where it has turns."""
    if isinstance(prompt, str):
        return f"{prompt}\n\n{addition}"
    turns = [dict(turn) for turn in prompt]
    turns[-1]["content"] = f"{turns[-1]['content']}\n\n{addition}"
    return turns


def lexical(texts: Sequence[str]) -> Floats:
    """Word counts hashed to 512 places, each row of length one, shape (n, 512).

    What stands in for an embedding model where none is installed; it knows words, not meanings.
    """
    out = np.zeros((len(texts), _DIMENSIONS))
    for row, text in zip(out, texts, strict=True):
        for word in re.findall(r"\w+", text.lower()):
            row[crc32(word.encode()) % _DIMENSIONS] += 1
    length: Floats = np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12)
    return out / length
