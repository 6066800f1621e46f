"""Texts as vectors: what similarity of texts is measured on.

`lexical` needs no model and stands in where none is installed; it knows words, not meanings. Leaves
out: training encoders.
"""

import re
from collections.abc import Callable, Sequence
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
