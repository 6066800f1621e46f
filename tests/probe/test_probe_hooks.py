"""Hooks must read the stream transformers computes, and leave no trace."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from tiny_models import config_of, sharpen

from whyfirst.config.errors import DataError, UserError
from whyfirst.models.hooks import ablating, adding, decoder_layers, editing, reading
from whyfirst.models.local import LocalModel
from whyfirst.probe.activations import asked_tokens, capture, margins, opened, tokens_of
from whyfirst.probe.pairs import Items, Request

IDS = torch.tensor([[5, 9, 17, 30, 2, 44]])


def causal(architecture: str) -> Any:
    """A random two-layer model."""
    if architecture == "opt":
        config = transformers.OPTConfig(
            vocab_size=64, hidden_size=32, num_hidden_layers=2, ffn_dim=64, num_attention_heads=2,
            max_position_embeddings=64, word_embed_proj_dim=32,
        )  # fmt: skip
    else:
        config = config_of(architecture, 64)
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    sharpen(model)
    return model


@pytest.mark.parametrize(
    "architecture", ["llama", "phi", "gpt_neox", "gpt2", "qwen2", "mistral", "opt"]
)
def test_layer_k_is_hidden_state_k_plus_1_except_the_last(architecture: str) -> None:
    """Off by one, or the last hidden state (after the final norm) taken for the stream."""
    model = causal(architecture)
    with torch.no_grad(), reading(model) as states:
        output = model(input_ids=IDS, output_hidden_states=True)
    assert sorted(states) == [0, 1]
    assert torch.equal(states[0], output.hidden_states[1])
    assert not torch.allclose(states[1], output.hidden_states[2], atol=1e-3)


def test_the_last_hidden_state_is_the_stream_after_the_final_norm() -> None:
    """What the last layer's stream differs by is the norm and nothing else."""
    model = causal("llama")
    with torch.no_grad(), reading(model) as states:
        output = model(input_ids=IDS, output_hidden_states=True)
        assert torch.equal(model.model.norm(states[1]), output.hidden_states[2])


def test_an_encoder_is_refused() -> None:
    """Positions of an encoder see what follows; patching them would mean something else."""
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.BertConfig(vocab_size=64, intermediate_size=64, **shape)
    with pytest.raises(UserError, match="is an encoder"):
        decoder_layers(transformers.BertForMaskedLM(config).eval())
    t5 = transformers.T5Config(vocab_size=64, d_model=32, d_ff=64, num_layers=2, num_heads=2)
    with pytest.raises(UserError, match="an encoder and a decoder"):
        decoder_layers(transformers.T5ForConditionalGeneration(t5).eval())


def test_an_unknown_layout_names_what_was_found() -> None:
    """A wrong list of modules was taken silently."""
    model = causal("gpt2")
    model.config.n_layer = 5
    with pytest.raises(UserError, match=r"its 5 decoder layers.*transformer\.h has 2"):
        decoder_layers(model)


def test_logits_are_bit_equal_after_an_intervention_and_with_coefficient_0() -> None:
    """A hook stayed behind, also where the work inside failed."""
    model = causal("llama")
    vector = torch.randn(32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = model(input_ids=IDS).logits
        with editing(model, {0: adding(vector, 0.0)}):
            assert torch.equal(model(input_ids=IDS).logits, before)
        with editing(model, {0: adding(vector, 2.0), 1: ablating(vector)}):
            assert not torch.equal(model(input_ids=IDS).logits, before)
        with pytest.raises(RuntimeError), editing(model, {1: adding(vector, 1.0)}):
            raise RuntimeError
        assert torch.equal(model(input_ids=IDS).logits, before)
    assert not any(m._forward_hooks for m in model.modules())
    with pytest.raises(UserError, match="no layer 2"), editing(model, {2: ablating(vector)}):
        pass


def test_ablating_leaves_nothing_along_the_direction_and_all_else() -> None:
    """Ablation scaled wrongly would change what is orthogonal."""
    stream = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(1))
    axis = torch.tensor([0.0, 3.0, 0.0, 0.0])
    expected = stream.clone()
    expected[..., 1] = 0
    assert torch.allclose(ablating(axis)(stream), expected)


def test_generation_is_the_same_after_an_intervention(tiny_llama: LocalModel) -> None:
    """Keys and values computed under the intervention were reused after it."""
    prompts = ["the kettle sings because the water " + tail for tail in ("boils", "is hot", "")]
    before = tiny_llama.generate(prompts)
    vector = torch.randn(32, generator=torch.Generator().manual_seed(0))
    with editing(tiny_llama.model, {0: adding(vector, 5.0)}):
        changed = tiny_llama.generate(prompts)
    assert changed != before
    assert tiny_llama.generate(prompts) == before


def test_activations_do_not_depend_on_the_batch_or_the_shard(
    tiny_llama: LocalModel, tmp_path: Path, hidden_states: Callable[..., list[Any]]
) -> None:
    """Padding was read as a token, or a shard's rows came back in another order."""
    texts = ["a", "the kettle sings", "why?", "may I borrow the lantern tonight", "bell"]
    written = capture(tiny_llama, texts, tmp_path, shard_numbers=1)
    assert len(written.shards) >= 1
    found = opened(tmp_path)
    assert found == written
    for row, text in enumerate(texts):
        alone = hidden_states(tiny_llama, text)
        assert np.allclose(found.layer(0)[row], alone[1][-1].numpy(), atol=1e-4)
    last = found.layer(1)
    assert np.isfinite(last).all()
    assert not np.allclose(last[0], hidden_states(tiny_llama, "a")[2][-1].numpy(), atol=1e-3)


def test_many_shards_hold_every_row_once(
    tiny_llama: LocalModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows were lost between shards."""
    monkeypatch.setattr(tiny_llama, "batch_tokens", 8)
    texts = [f"the {'very ' * n}old bell" for n in range(6)]
    small = capture(tiny_llama, texts, tmp_path / "small", shard_numbers=1)
    assert len(small.shards) > 2
    monkeypatch.setattr(tiny_llama, "batch_tokens", 4096)
    whole = capture(tiny_llama, texts, tmp_path / "whole")
    assert len(whole.shards) == 1
    assert np.allclose(small.layer(1), whole.layer(1), atol=1e-4)
    (tmp_path / "small" / small.shards[0]).write_bytes(b"torn")
    with pytest.raises(DataError, match="can't be read"):
        small.layer(0)


def test_margins_are_the_logit_difference_of_each_row_alone(
    tiny_llama: LocalModel, probe_items: Items
) -> None:
    """The last position of a padded row was taken for its own."""
    asked = probe_items.requests(3)
    rows, refuse, help_ = asked_tokens(tiny_llama, asked)
    found = margins(tiny_llama, rows, refuse, help_)
    for row, a, b, margin in zip(rows, refuse, help_, found, strict=True):
        with torch.no_grad():
            logits = tiny_llama.model(input_ids=torch.tensor([row])).logits[0, -1].double()
        assert margin == pytest.approx(float(logits[a] - logits[b]), abs=1e-4)


def test_answers_that_begin_alike_and_texts_too_long_are_refused(tiny_llama: LocalModel) -> None:
    """A margin between a token and itself is always 0."""
    alike = Request("r", "use it", True, "care", "it", "plain", " no", " no problem")
    with pytest.raises(UserError, match="request r: one of its answers"):
        asked_tokens(tiny_llama, [alike])
    with pytest.raises(UserError, match="probe text 2 has"):
        tokens_of(tiny_llama, ["short", "kettle " * 200])
