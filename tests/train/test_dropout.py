"""Stages without dropout, on models that call it as a function and have no module of it."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import VOCABULARY

from whyfirst.config.files import read_json, read_jsonl, write_json
from whyfirst.train.config import GRPOStage, PPOStage, PreferStage, RewardStage, SFTStage
from whyfirst.train.run import run_stage

RATES = {"dropout": 0.3, "attention_dropout": 0.2}
ONE: dict[str, Any] = {"updates": 1, "min_updates": 1, "batch_size": 8, "learning_rate": 1e-3}
ONLINE: dict[str, Any] = {
    "rewards": ("length", {"name": "repetition", "weight": 3.0}), "max_new_tokens": 8,
}  # fmt: skip
OFF: dict[str, tuple[str, Any]] = {
    "prefer": ("preferences", PreferStage(objective="simpo", **ONE)),
    "adapter": ("preferences", PreferStage(objective="simpo", lora={"r": 2}, **ONE)),
    "reward": ("pairs", RewardStage(**ONE)),
    "grpo": ("prompts", GRPOStage(**(ONE | ONLINE | {"updates": 2}), group_size=4, iterations=2)),
    # Layers that recompute are told that they train, where all else is in evaluation.
    "ppo": ("prompts", PPOStage(**ONE, **ONLINE, minibatch_size=4, gradient_checkpointing=True)),
}


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> tuple[Path, Path]:
    """A folder with rates in its config, and the same without."""
    from transformers import OPTConfig, OPTForCausalLM

    parent = tmp_path_factory.mktemp("opt")
    torch.manual_seed(0)
    config = OPTConfig(
        vocab_size=len(VOCABULARY), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        ffn_dim=48, word_embed_proj_dim=32, max_position_embeddings=128, bos_token_id=None,
        eos_token_id=2, pad_token_id=0, init_std=0.2, **RATES,
    )  # fmt: skip
    OPTForCausalLM(config).save_pretrained(parent / "with")
    tokenizer.save_pretrained(parent / "with")
    shutil.copytree(parent / "with", parent / "without")
    file = parent / "without" / "config.json"
    write_json(file, read_json(file) | dict.fromkeys(RATES, 0.0))
    return parent / "with", parent / "without"


def _logs(config: Any, name: str, data: dict[str, Path], two: Any, out: Path) -> list[Any]:
    given = {name: data.get(name, data["pairs"])}
    for folder in two:
        run_stage(config, folder, given, out / folder.name, 0)
    return [read_jsonl(out / folder.name / "log.jsonl") for folder in two]


@pytest.mark.parametrize("kind", OFF)
def test_a_stage_without_dropout_has_some(
    two: tuple[Path, Path], data: dict[str, Path], tmp_path: Path, kind: str
) -> None:
    """Only modules of dropout were switched off, and a config's own rates must be saved again."""
    name, config = OFF[kind]
    given, without = _logs(config, name, data, two, tmp_path)
    assert given == without
    saved = read_json(tmp_path / "with" / "model" / "config.json")
    assert {rate: saved[rate] for rate in RATES} == RATES


def test_demonstrations_are_trained_on_without_the_models_dropout(
    two: tuple[Path, Path], data: dict[str, Path], tmp_path: Path
) -> None:
    given, without = _logs(SFTStage(**ONE), "demonstrations", data, two, tmp_path)
    assert given != without
