"""A model's sizes, whatever its architecture calls them."""

from typing import Any

import pytest

from whyfirst.models.limits import UNLIMITED, context_of, limits_of


@pytest.mark.parametrize(
    ("config", "positions"),
    [
        ({"max_position_embeddings": 128}, 128),
        ({"n_positions": 64, "n_ctx": 32}, 64),  # gpt2, gpt-j, codegen
        ({"max_seq_len": 99}, 99),  # mpt
        ({"context_length": 77}, 77),  # rwkv
        ({"text_config": {"max_position_embeddings": 5, "vocab_size": 9}, "vocab_size": 3}, 5),
        ({"model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": 1}, 512),
        ({"seq_length": 2048, "alibi": True}, None),  # bloom computes any length
        ({"max_position_embeddings": True}, None),
        ({"max_position_embeddings": "many"}, None),
        ({"max_position_embeddings": -1}, None),
        ([1], None),
        (None, None),
    ],
)
def test_an_architecture_calls_its_limit_otherwise(config: Any, positions: int | None) -> None:
    assert limits_of(config).positions == positions


def test_a_config_object_says_less_than_its_file() -> None:
    from transformers import BloomConfig, GPT2Config, LlamaConfig

    assert context_of(GPT2Config(n_positions=48)) == 48
    assert context_of(LlamaConfig(max_position_embeddings=96)) == 96
    assert context_of(BloomConfig()) == UNLIMITED


@pytest.mark.parametrize("name", ["llama", "gpt_neox", "phi", "gpt2", "mistral", "qwen2"])
def test_a_real_model_is_smaller_than_its_bound(name: str) -> None:
    from tiny_models import config_of
    from transformers import AutoModelForCausalLM

    config = config_of(name, 320)
    built = AutoModelForCausalLM.from_config(config)
    limits = limits_of(config.to_dict())
    assert 0 < limits.at_least <= sum(weights.numel() for weights in built.parameters())
    assert limits.vocabulary == 320
