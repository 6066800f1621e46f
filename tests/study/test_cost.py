"""The arithmetic of a plan's cost, against numbers computed by hand."""

import pytest

from whyfirst.config.errors import ConfigError, UserError
from whyfirst.study.cost import arithmetic as cost
from whyfirst.study.cost.arithmetic import Shape

TINY = {
    "model_type": "llama", "vocab_size": 100, "hidden_size": 8, "intermediate_size": 20,
    "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1,
    "max_position_embeddings": 64, "tie_word_embeddings": False,
}  # fmt: skip
# q and o: 8 x 8; k and v: 8 x 4 (one head of two); gate, up, down: 8 x 20; two norms of 8
LAYER = 2 * 64 + 2 * 32 + 3 * 160 + 2 * 8


def shape() -> Shape:
    return cost.read_shape(TINY)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("microsoft/phi-2", 2_779_683_840), ("meta-llama/Llama-2-7b-hf", 6_738_415_616)],
)
def test_published_models_have_their_published_size(name: str, parameters: int) -> None:
    """Counted from the table of known configs: without a network and without weights."""
    assert cost.read_shape(cost.model_config(name)).parameters == parameters


def test_llama_by_hand() -> None:
    """32 layers of width 4096 with 11008 between, 32000 words in and out, 65 norms."""
    hand = 2 * 32000 * 4096 + 32 * (4 * 4096**2 + 3 * 4096 * 11008) + 65 * 4096
    assert hand == 6_738_415_616


def test_small_model_by_hand() -> None:
    found = shape()
    assert found.parameters == 100 * 8 + 2 * LAYER + 8 + 100 * 8
    assert found.multiplied == found.parameters - 100 * 8  # the input embedding is looked up
    assert (found.layers, found.hidden, found.attention, found.kv) == (2, 8, 8, 4)
    assert (found.vocabulary, found.context) == (100, 64)
    assert len(found.linear) == 2 * 7


def test_tied_embeddings_count_once_and_are_multiplied() -> None:
    tied = cost.read_shape(TINY | {"tie_word_embeddings": True})
    assert tied.parameters == 100 * 8 + 2 * LAYER + 8 == tied.multiplied


def test_adapters_count_inputs_and_outputs_of_what_they_sit_on() -> None:
    per_layer = 2 * (8 + 8) + 2 * (8 + 4) + 3 * (8 + 20)
    assert shape().adapter(4, "all-linear") == 2 * 4 * per_layer
    assert shape().adapter(4, ("q_proj", "v_proj")) == 2 * 4 * ((8 + 8) + (8 + 4))


def test_operations_of_training_and_of_reading() -> None:
    """6 and 2 a multiplied parameter and token; attention 12 and 4 x layers x width x row."""
    found, tokens, row = shape(), 1000.0, 10.0
    n = found.multiplied
    assert cost.forward_flops(found, tokens, row) == 1000 * (2 * n + 4 * 2 * 8 * 10)
    assert cost.training_flops(found, tokens, row) == 1000 * (6 * n + 12 * 2 * 8 * 10)
    again = cost.training_flops(found, tokens, row, recompute=True)
    assert again == 1000 * (8 * n + 16 * 2 * 8 * 10)
    adapted = cost.training_flops(found, tokens, row, adapter=50)
    assert adapted == 1000 * (4 * n + 6 * 50 + 12 * 2 * 8 * 10)  # no gradient of frozen weights


def test_memory_of_training_everything_is_sixteen_bytes_a_parameter_and_the_activations() -> None:
    found = shape()
    parts = cost.training_memory(found, rows=3, row=10, half=True, reference=True)
    p = found.parameters
    assert (parts["weights"], parts["gradients"], parts["optimizer"]) == (4 * p, 4 * p, 8 * p)
    assert parts["reference copy"] == 4 * p
    assert parts["activations"] == 34 * 30 * 8 * 2 + 2 * 4 * 30 * 100
    wide = cost.training_memory(found, rows=3, row=10, half=False)
    assert wide["activations"] == 2 * 34 * 30 * 8 * 2 + 2 * 4 * 30 * 100
    assert "reference copy" not in wide


def test_memory_with_adapters_has_no_copy_and_few_gradients() -> None:
    found = shape()
    parts = cost.training_memory(
        found, rows=1, row=10, half=True, adapter=50, frozen_half=True, reference=True
    )
    assert parts["weights"] == 2 * found.parameters + 4 * 50
    assert (parts["gradients"], parts["optimizer"]) == (4 * 50, 8 * 50)
    assert "reference copy" not in parts


def test_recomputing_keeps_the_input_of_each_layer_and_one_layer() -> None:
    kept = cost.activation_bytes(shape(), 3, 10, half=True, recompute=True)
    assert kept == 2 * 30 * 8 * 2 + 34 * 30 * 8 + 2 * 4 * 30 * 100


def test_cache_holds_keys_and_values_of_every_layer() -> None:
    assert cost.cache_bytes(shape(), 16, half=True) == 2 * 2 * 4 * 16 * 2


def test_hours_at_a_share_of_the_peak_and_unknown_where_the_peak_is() -> None:
    gpus = cost.gpus()
    hours = gpus["A100-80GB"].hours(312e12 * 3600, half=True)
    assert hours == pytest.approx(1 / cost.UTILISATION)
    single = gpus["A100-80GB"].hours(19.5e12 * 3600, half=False)
    assert single == pytest.approx(1 / cost.UTILISATION)
    assert gpus["CPU"].hours(1.0, half=True) is None
    assert gpus["H200"].memory == 141e9


def test_models_of_unknown_size_are_refused() -> None:
    with pytest.raises(UserError, match=r"nobody/nothing.*microsoft/phi-2.*--model"):
        cost.model_config("nobody/nothing")
    with pytest.raises(ConfigError, match="no causal language model"):
        cost.read_shape({"model_type": "no_such_thing"})
