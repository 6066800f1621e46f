"""Frozen models that a stage goes by: an adapter's folder as one, and the number format."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from whyfirst.config.errors import ConfigError
from whyfirst.config.files import read_json, write_json
from whyfirst.models.edits import SURGERIES
from whyfirst.models.local import LocalModel
from whyfirst.study.plan import build_plan
from whyfirst.train.checkpoint import differing, make_manifest
from whyfirst.train.config import LoraConfig, PreferStage, RecoverStage, SFTStage
from whyfirst.train.objectives import OBJECTIVES, SequenceScores
from whyfirst.train.run import run_stage
from whyfirst.train.weights import load_model, load_tokenizer

Jsonl = Callable[[str, list[dict[str, Any]]], Path]
STUDY = """
study: compared
title: Compared
model: {source: pretrained, path: model}
corpora: {demos: {source: file, path: demos.jsonl}, pairs: {source: file, path: pairs.jsonl}}
stages:
  align: {data: demos, train: &sft {kind: sft, batch_size: 4, updates: 10, max_length: 64,
          adapter: null, lora: {r: 2}}}
  plain: {data: pairs, train: &two {kind: prefer, objective: d2o, batch_size: 4, updates: 10,
          max_length: 64, references: [{stage: align}]}}
  named: {data: pairs, train: {<<: *two, references: [{path: adapter}]}}
arms: {direct: [align], plain: [align, plain], named: [align, named]}
seeds: {default: 1}
benchmarks: {preference: {data: hh.jsonl}}
"""


@pytest.fixture(scope="module")
def adapter(
    bases: dict[str, Path], data: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with an adapter alone, on a base of its own."""
    folder = tmp_path_factory.mktemp("reference")
    load_model(bases["llama"]).save_pretrained(folder / "base")
    load_tokenizer(bases["llama"]).save_pretrained(folder / "base")
    lora = LoraConfig(r=4, merge=False)
    config = SFTStage(updates=12, batch_size=8, learning_rate=1e-2, lora=lora)
    run_stage(config, folder / "base", data, folder / "out", 1)
    return folder / "out" / "model"


@pytest.fixture
def seen() -> Iterator[list[SequenceScores]]:
    """What an objective with two references is given, of every forward pass."""
    found: list[SequenceScores] = []
    OBJECTIVES.names()

    @OBJECTIVES.enter("test_two", needs="two references", tested="here", references=2)
    def two(scores: SequenceScores, *, beta: float = 0.1) -> Tensor:
        """DPO, which looks at a second reference too."""
        found.append(scores)
        return -logsigmoid(beta * scores.preferred(scores.log_ratio()))

    yield found
    OBJECTIVES._entries.pop("test_two")


@pytest.fixture
def study(bases: dict[str, Path], adapter: Path, tmp_path: Path, jsonl: Jsonl) -> Path:
    """A study with a reference by a stage, and one by an adapter's folder."""
    load_model(bases["llama"]).save_pretrained(tmp_path / "model")
    load_tokenizer(bases["llama"]).save_pretrained(tmp_path / "model")
    (tmp_path / "adapter").symlink_to(adapter)
    jsonl("demos", [{"prompt": f"w{i}", "completion": "w1"} for i in range(40)])
    jsonl("pairs", [{"prompt": f"w{i}", "chosen": "w1", "rejected": "w2"} for i in range(40)])
    jsonl("hh", [{"prompt": "\n\nHuman: w1\n\nAssistant:", "chosen": " w2", "rejected": " w3"}])
    file = tmp_path / "compared.yaml"
    file.write_text(STUDY)
    return file


def _compare(folder: Path, start: Path, data: dict[str, Path], out: Path, dtype: str) -> None:
    config = PreferStage(
        updates=10, batch_size=6, learning_rate=1e-6, objective="test_two", dtype=dtype,
        references=({"path": str(folder)},),
    )  # fmt: skip
    run_stage(config, start, {"preferences": data["pairs"]}, out, 1)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_further_reference_computes_in_another_number_format_than_the_first(
    bases: dict[str, Path], data: dict[str, Path], tmp_path: Path, seen: list[SequenceScores],
    dtype: str,
) -> None:  # fmt: skip
    """The model the stage starts from, named once more."""
    _compare(bases["llama"], bases["llama"], data, tmp_path, dtype)
    gaps = [(s.reference_logp(0) - s.reference_logp(1)).abs().max().item() for s in seen]
    assert max(gaps) == 0


def test_a_reference_of_another_vocabulary_is_given_ids_that_mean_another_text(
    bases: dict[str, Path], data: dict[str, Path], tmp_path: Path, seen: list[SequenceScores]
) -> None:
    """Two words have changed places; a token to pad with may be one's own."""
    load_model(bases["llama"]).save_pretrained(tmp_path / "other")
    load_tokenizer(bases["llama"]).save_pretrained(tmp_path / "other")
    file = tmp_path / "other" / "tokenizer.json"
    made = read_json(file)
    vocabulary = made["model"]["vocab"]
    first, second = vocabulary["w1"], vocabulary["w2"]
    vocabulary |= {"w1": second, "w2": first}
    write_json(file, made)
    with pytest.raises(
        ConfigError, match=rf"other reads other .* 'w1' is {second} there and {first}"
    ):
        _compare(tmp_path / "other", bases["llama"], data, tmp_path / "out", "float32")
    padded = load_tokenizer(bases["llama"])
    padded.add_special_tokens({"pad_token": "<|pad|>"})
    padded.save_pretrained(tmp_path / "other")
    _compare(tmp_path / "other", bases["llama"], data, tmp_path / "out", "float32")
    assert seen


def test_an_adapter_is_refused_as_a_reference_or_its_base_stands_in_for_it(
    bases: dict[str, Path], data: dict[str, Path], tmp_path: Path, adapter: Path,
    seen: list[SequenceScores],
) -> None:  # fmt: skip
    _compare(adapter, bases["llama"], data, tmp_path / "prefer", "float32")
    gap = (seen[0].reference_logp(1) - seen[0].reference_logp(0)).abs().max().item()
    assert gap > 0.1
    # Merged by another way.
    merged = LocalModel(adapter, "float32").model
    SURGERIES.names()

    @SURGERIES.enter("test_take")
    def take(model: Any, reference: Any) -> Any:
        """The reference in place of the model."""
        model.load_state_dict(reference.state_dict())
        return model

    try:
        config = RecoverStage(surgery="test_take", reference={"path": str(adapter)})
        run_stage(config, bases["llama"], {}, tmp_path / "recover", 1)
    finally:
        SURGERIES._entries.pop("test_take")
    found = LocalModel(tmp_path / "recover" / "model", "float32").model
    ids = torch.arange(5, 25)[None]
    with torch.no_grad():
        assert torch.allclose(found(ids).logits, merged(ids).logits, atol=1e-5)


def test_the_base_under_an_adapter_may_change_unseen(
    bases: dict[str, Path], data: dict[str, Path], adapter: Path, study: Path
) -> None:
    """In a stage's own manifest, named or given, and in the study's fingerprints."""
    shared: dict[str, Any] = {"updates": 10, "batch_size": 4, "objective": "d2o"}
    named = PreferStage(**shared, references=({"path": str(adapter)},))
    given = PreferStage(**shared, references=({"stage": "align"},))

    def state() -> tuple[dict[str, Any], dict[str, Any], dict[str, str]]:
        rows = {"preferences": data["pairs"]}
        nodes = build_plan(study).by_id
        return (
            make_manifest(named, bases["llama"], rows, 0),
            make_manifest(given, bases["llama"], rows | {"reference:align": adapter}, 0),
            {name: node.fingerprint for name, node in nodes.items() if name.startswith("seed0/")},
        )

    before = state()
    weights = adapter.parents[1] / "base" / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole + b"\0")
    after = state()
    weights.write_bytes(whole)
    assert differing(before[0], after[0]) == ["references"]
    assert differing(before[1], after[1]) == ["data.reference:align"]
    changed = {name for name in before[2] if before[2][name] != after[2][name]}
    assert {name.partition("/preference")[0] for name in changed} == {"seed0/align>named"}


def test_a_study_finds_what_a_reference_by_an_unmerged_stage_gave_before(study: Path) -> None:
    """A surgery went by the base under it; by a merged one it goes as it did."""

    def marked(text: str) -> Any:
        study.write_text(text)
        return build_plan(study).by_id["seed0/align>plain"].payload["config"].get("reference 0")

    assert marked(STUDY) is None
    unmerged = STUDY.replace("{r: 2}", "{r: 2, merge: false}")
    fresh = unmerged.replace("64, references: [{stage", "64, adapter: fresh, references: [{stage")
    assert marked(fresh) == "merged"
