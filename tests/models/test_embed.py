"""Texts as vectors: the encoder of the extra `embed`, and words where it isn't installed."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from tiny_models import build_tiny

from whyfirst.models.embed import PACKAGE, Encoder, embedder, lexical


def test_padding_moves_a_texts_vector(tmp_path: Path) -> None:
    """The mean is over a text's own tokens: beside a longer text it is what it is alone."""
    encode = Encoder(build_tiny("llama", tmp_path / "encoder"))
    short, long = "a word", "a far longer text with many more words than the other one has"
    both, alone = encode([short, long]), encode([short])
    assert both.shape == (2, both.shape[1]) and alone.shape == (1, both.shape[1])
    assert np.allclose(np.linalg.norm(both, axis=1), 1)
    assert np.allclose(both[0], alone[0], atol=1e-5)
    assert not np.allclose(both[0], both[1], atol=1e-2)
    assert encode([]).shape == (0, both.shape[1])


def test_a_missing_package_is_told_by_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    embedder.cache_clear()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert embedder() is lexical and embedder().__name__ == "lexical"
    embedder.cache_clear()


def test_a_paraphrase_is_farther_than_shared_words() -> None:
    """What the encoder is for: meanings, where words alone mislead."""
    if importlib.util.find_spec(PACKAGE) is None:
        pytest.skip("the extra `embed` is not installed")
    encode = embedder()
    a, b, c = encode(["How do I pick a lock?", "Ways to open a door without its key",
                      "How do I pick a colour?"])  # fmt: skip
    words = lexical(["How do I pick a lock?", "Ways to open a door without its key",
                     "How do I pick a colour?"])  # fmt: skip
    assert a @ b > a @ c and words[0] @ words[1] < words[0] @ words[2]
