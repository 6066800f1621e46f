"""The optional way through nnsight reads what the hooks read."""

from __future__ import annotations

import pytest

from whyfirst.config.errors import UserError
from whyfirst.models.hooks import reading
from whyfirst.models.local import LocalModel
from whyfirst.probe.nnsight_view import traced_layers


def test_nnsight_reads_another_stream_than_the_hooks(tiny_llama: LocalModel) -> None:
    """Layer k of one library was layer k + 1 of the other."""
    pytest.importorskip("nnsight", reason="the extra [nnsight] is not installed")
    import torch

    ids = torch.tensor([[3, 5, 7, 2]])
    with torch.no_grad(), reading(tiny_llama.model) as states:
        tiny_llama.model(input_ids=ids, use_cache=False)
    wrapped, layers = traced_layers(tiny_llama.model)
    assert len(layers) == len(states) == 2
    with torch.no_grad(), wrapped.trace(input_ids=ids, use_cache=False):
        first = layers[0].output.save()
        last = layers[1].output.save()
    for number, found in enumerate((first, last)):
        stream = found[0] if isinstance(found, tuple) else found
        assert torch.equal(stream, states[number])


def test_a_missing_nnsight_is_named(
    tiny_llama: LocalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was an ImportError."""
    monkeypatch.setitem(__import__("sys").modules, "nnsight", None)
    with pytest.raises(UserError, match=r"whyfirst\[nnsight\]"):
        traced_layers(tiny_llama.model)
