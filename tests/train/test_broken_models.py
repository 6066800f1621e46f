"""A stage from a broken model folder: one message that names the file, whatever is broken."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from whyfirst.config.errors import DataError, PreflightError, TrainingStopped, UserError
from whyfirst.train.config import DPOStage, GRPOStage, RewardStage, SFTStage
from whyfirst.train.config_rl import RewardUse
from whyfirst.train.rewards import model as reward_model
from whyfirst.train.run import run_stage

SFT = SFTStage(updates=10, batch_size=4)
DPO = DPOStage(updates=10, batch_size=4)
GRPO = GRPOStage(
    updates=10, batch_size=8, group_size=4, max_new_tokens=4, rewards=({"name": "length"},)
)


@pytest.fixture
def folder(bases: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of the tiny llama to spoil."""
    return shutil.copytree(bases["llama"], tmp_path / "model")


def said(config: Any, folder: Path, data: dict[str, Path], kind: type[UserError]) -> str:
    names = {"sft": "demonstrations", "dpo": "pairs", "reward": "pairs", "grpo": "prompts"}
    given = {names[config.kind]: data[names[config.kind]]}
    with pytest.raises(kind) as caught:
        run_stage(config, folder, given, folder.parent / "out", 0)
    assert not (folder.parent / "out" / "stage.json").exists()
    return str(caught.value)


def cut(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def without_a_tensor(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


BROKEN: dict[str, tuple[Callable[[Path], Any], str]] = {
    "torn weights": (cut, "model.safetensors: not a readable safetensors file"),
    "a tensor missing": (without_a_tensor, "1 of the model's tensors are in no file there"),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "no tokenizer there"),
    "odd tokenizer": (
        lambda f: (f / "tokenizer.json").write_text("{}"), "the tokenizer can't be loaded",
    ),
}  # fmt: skip


@pytest.mark.parametrize("config", [SFT, RewardStage(updates=10)], ids=["sft", "reward"])
@pytest.mark.parametrize("what", BROKEN)
def test_broken_folder_ends_a_stage_in_a_library_s_traceback(
    folder: Path, data: dict[str, Path], what: str, config: Any
) -> None:
    spoil, named = BROKEN[what]
    spoil(folder)
    found = said(config, folder, data, UserError)
    assert named in found and str(folder) in found and "save" in found


def edited(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))


def turning_more_than_there_is(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    edited(folder, rope_parameters=config["rope_parameters"] | {"partial_rotary_factor": 3.0})


@pytest.mark.parametrize("config", [SFT, DPO, GRPO, RewardStage(updates=10)], ids=lambda c: c.kind)
@pytest.mark.parametrize("change", ["rotation", "dropout"])
def test_config_that_only_fails_when_computed_is_a_traceback_of_the_trainer(
    bases: dict[str, Path], tmp_path: Path, data: dict[str, Path], config: Any, change: str
) -> None:
    folder = shutil.copytree(bases["phi"], tmp_path / "model")
    if change == "dropout":  # and this one not before dropout is computed
        edited(folder, attention_dropout=2.0)
    else:
        turning_more_than_there_is(folder)
    found = said(config, folder, data, UserError)
    assert f"{folder}: the model can't be loaded" in found and "\n" not in found


def test_reward_model_whose_config_only_fails_when_computed_is_a_traceback(
    bases: dict[str, Path], data: dict[str, Path], tmp_path: Path
) -> None:
    run_stage(RewardStage(updates=10), bases["phi"], {"pairs": data["pairs"]}, tmp_path / "r", 0)
    turning_more_than_there_is(tmp_path / "r" / "model")
    with pytest.raises(UserError, match="can't be loaded"):
        reward_model.load(str(tmp_path / "r" / "model"))


def test_reward_of_prompts_as_its_model_never_read_them(
    bases: dict[str, Path], data: dict[str, Path], tmp_path: Path
) -> None:
    """A reward model trained on bare text was asked about chats, and gave numbers."""
    run_stage(
        RewardStage(updates=10, format="text"), bases["llama"], {"pairs": data["pairs"]},
        tmp_path / "r", 0,
    )  # fmt: skip
    online = GRPO.model_copy(update={"rewards": (RewardUse(name="reward_model"),)})
    given = {"prompts": data["prompts"], "reward_model": tmp_path / "r" / "model"}
    with pytest.raises(PreflightError, match="trained on prompts with format text; give both"):
        run_stage(online, bases["llama"], given, tmp_path / "out", 0)


def test_torn_reward_model_is_a_library_s_traceback(
    bases: dict[str, Path], data: dict[str, Path], tmp_path: Path
) -> None:
    run_stage(RewardStage(updates=10), bases["llama"], {"pairs": data["pairs"]}, tmp_path / "r", 0)
    cut(tmp_path / "r" / "model")
    with pytest.raises(UserError, match="not a readable safetensors file"):
        reward_model.load(str(tmp_path / "r" / "model"))


def test_tokens_beyond_the_vocabulary_are_an_index_error(
    folder: Path, data: dict[str, Path]
) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder)
    model.resize_token_embeddings(8)
    model.save_pretrained(folder)
    for config in (SFT, GRPO):
        found = said(config, folder, data, PreflightError)
        assert "the model has 8" in found and "tokenizer of another model" in found


@pytest.mark.parametrize("config", [SFT, DPO, GRPO], ids=["sft", "dpo", "grpo"])
def test_weights_of_nan_are_blamed_on_the_learning_rate(
    folder: Path, data: dict[str, Path], config: Any
) -> None:
    tensors = load_file(folder / "model.safetensors")
    name = "model.layers.0.mlp.up_proj.weight"
    tensors[name][0, 0] = torch.nan
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    found = said(config, folder, data, TrainingStopped)
    assert f"model.safetensors: {name} holds NaN" in found and "learning_rate" not in found


def test_half_a_character_is_a_tokenizer_s_traceback(
    bases: dict[str, Path], tmp_path: Path
) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"prompt": "w1 \\ud83d\\ude00", "completion": "w2"}\n'
                    '{"prompt": "w1 \\ud83d", "completion": "w2"}\n')  # fmt: skip
    for config, name in ((SFT, "demonstrations"), (GRPO, "prompts")):
        with pytest.raises(DataError, match=r"row 2: not valid Unicode: .ud83d is a lone"):
            run_stage(config, bases["llama"], {name: rows}, tmp_path / "out", 0)
