"""Surgeries as a stage of a study: by the base or an earlier stage, and what is refused."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from safetensors.torch import load_file
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from whyfirst.config.errors import ConfigError, DataError, TrainingStopped
from whyfirst.models.edits import SURGERIES
from whyfirst.models.edits.restoring import Prompts
from whyfirst.study.plan import build_plan
from whyfirst.train.config import RecoverStage, StageConfig
from whyfirst.train.encode import exchanges
from whyfirst.train.run import run_stage
from whyfirst.train.weights import load_model, load_tokenizer

Jsonl = Callable[[str, list[dict[str, Any]]], Path]
STUDY = """
study: recovered
title: Recovered
model: {source: pretrained, path: model}
corpora: {demos: {source: file, path: demos.jsonl}}
stages:
  align: {data: demos, train: &sft {kind: sft, batch_size: 4, updates: 10, learning_rate: 0.003,
          max_length: 64}}
  more: {data: demos, train: *sft}
  halved: {train: {kind: recover, surgery: {name: test_halfway, share: 0.5}}}
  back: {train: {kind: recover, surgery: test_halfway, reference: {stage: align}}}
arms: {direct: [align], halved: [align, halved], back: [align, more, back]}
seeds: {default: 1}
benchmarks: {preference: {data: pairs.jsonl}}
"""


@pytest.fixture(autouse=True)
def _surgery() -> Any:
    SURGERIES.names()

    @SURGERIES.enter("test_halfway")
    def halfway(model: Any, reference: Any, *, share: float = 1.0) -> Any:
        """The model, moved by a share of the way to the reference."""
        with torch.no_grad():
            for name, weight in model.named_parameters():
                weight.lerp_(reference.get_parameter(name), share)
        return model

    yield
    SURGERIES._entries.pop("test_halfway")


@pytest.fixture
def study(bases: dict[str, Path], tmp_path: Path, jsonl: Jsonl) -> Path:
    load_model(bases["llama"]).save_pretrained(tmp_path / "model")
    load_tokenizer(bases["llama"]).save_pretrained(tmp_path / "model")
    jsonl("demos", [{"prompt": f"w{i}", "completion": "w1"} for i in range(40)])
    pair = {"prompt": "\n\nHuman: w1\n\nAssistant:", "chosen": " w2", "rejected": " w3"}
    jsonl("pairs", [pair] * 4)
    file = tmp_path / "recovered.yaml"
    file.write_text(STUDY)
    return file


def test_a_surgery_goes_by_another_model_than_its_file_says(study: Path) -> None:
    nodes = build_plan(study).by_id
    assert nodes["seed0/align>halved"].depends == ("seed0/align", "base")
    assert nodes["seed0/align>more>back"].depends == ("seed0/align>more", "seed0/align")


def test_a_reference_that_comes_later_is_taken(study: Path) -> None:
    study.write_text(STUDY.replace("back: [align, more, back]", "back: [more, back]"))
    with pytest.raises(ConfigError, match=r"its reference 'align' is no stage before it"):
        build_plan(study)
    study.write_text(STUDY.replace("halved: {train", "halved: {data: demos, train"))
    with pytest.raises(ConfigError, match=r"stages\.halved\.data: has no effect: recover reads"):
        build_plan(study)
    study.write_text(STUDY.replace("more: {data: demos, train", "more: {train"))
    with pytest.raises(ConfigError, match=r"stages\.more: needs `data`"):
        build_plan(study)


def test_the_surgery_is_done_otherwise_than_by_hand(bases: dict[str, Path], tmp_path: Path) -> None:
    base = load_model(bases["llama"])
    start = {name: weight.clone() for name, weight in base.state_dict().items()}
    with torch.no_grad():
        for weight in base.parameters():
            weight.mul_(1.2)
    base.save_pretrained(tmp_path / "moved")
    load_tokenizer(bases["llama"]).save_pretrained(tmp_path / "moved")
    config = RecoverStage(surgery={"name": "test_halfway", "share": 0.5})
    given = {"reference": bases["llama"]}
    result = run_stage(config, tmp_path / "moved", given, tmp_path / "out", 0)
    for name, weight in load_file(tmp_path / "out/model/model.safetensors").items():
        torch.testing.assert_close(weight, 1.1 * start[name])
    assert (result.updates, result.first_loss, result.tokens_trained) == (1, None, 0)
    with pytest.raises(TrainingStopped, match="changed no weight: the model equals its reference"):
        run_stage(config, bases["llama"], given, tmp_path / "same", 0)
    with pytest.raises(TrainingStopped, match="models of two shapes"):
        run_stage(config, bases["phi"], given, tmp_path / "apart", 0)


def test_training_options_of_a_surgery_do_nothing_silently() -> None:
    with pytest.raises(ValueError, match="learning_rate: no effect"):
        RecoverStage(surgery="test_halfway", learning_rate=1e-3)


def test_a_study_with_a_template_fails_at_its_surgery(study: Path, bases: dict[str, Path]) -> None:
    """`model.chat_template` reaches every stage, and this kind refused it after the training."""
    study.write_text(STUDY.replace("path: model}", "path: model, chat_template: chatml}"))
    train = build_plan(study).by_id["seed0/align>halved"].payload["train"]
    config: Any = TypeAdapter(StageConfig).validate_python(train)
    moved = load_model(bases["llama"])
    with torch.no_grad():
        for weight in moved.parameters():
            weight.mul_(1.2)
    folder = study.parent / "moved"
    moved.save_pretrained(folder)
    load_tokenizer(bases["llama"]).save_pretrained(folder)
    run_stage(config, folder, {"reference": bases["llama"]}, study.parent / "out", 0)
    saved = load_tokenizer(study.parent / "out/model").chat_template
    assert saved == load_tokenizer(bases["llama"], "chatml").chat_template


def test_a_surgery_of_rows_reads_none(bases: dict[str, Path], tmp_path: Path, jsonl: Jsonl) -> None:
    base = load_model(bases["llama"])
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in base.parameters():
            weight += 0.2 * torch.randn_like(weight)
    base.save_pretrained(tmp_path / "moved")
    load_tokenizer(bases["llama"]).save_pretrained(tmp_path / "moved")
    config = RecoverStage(surgery={"name": "recover_alignment", "rate": 0.01, "steps": 1})
    rows = [{"prompt": "w1 w2", "harmful": True}]
    rows += [{"prompt": "w3", "harmful": False, "completion": "w4 w5"}]
    given = {"reference": bases["llama"], "prompts": jsonl("rows", rows)}
    result = run_stage(config, tmp_path / "moved", given, tmp_path / "out", 0)
    assert result.updates == 1
    given["prompts"] = jsonl("bad", [{"prompt": "w1"}])
    with pytest.raises(DataError, match=r"bad\.jsonl: row 1: needs `prompt` and `harmful`"):
        run_stage(config, tmp_path / "moved", given, tmp_path / "other", 0)


def test_a_surgery_reads_prompts_as_nobody_asks_them(tokenizer: Any, chat_tokenizer: Any) -> None:
    """A template writes the start token itself, and where a reply stands and ends."""
    inner = deepcopy(tokenizer.backend_tokenizer)
    inner.post_processor = TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 3)])
    started = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<eos>", bos_token="<bos>")
    started.chat_template = "<bos>" + chat_tokenizer.chat_template
    chat = [{"role": "user", "content": "w1"}]
    rows = [{"prompt": chat, "harmful": True}, {"prompt": "w1", "harmful": True},
            {"prompt": chat, "harmful": False, "completion": "w2"}]  # fmt: skip
    read = Prompts(started, rows)
    [(as_trained, said)] = exchanges(started, rows[2:], Path("rows"), "completion", None)
    assert read.harmful == [as_trained, [3, 7]] and read.benign == [as_trained]
    assert as_trained == [3, 4, 7, 5] and read._replies == [said]
