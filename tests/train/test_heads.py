"""KTO and MAH-DPO as stages: another row's response, and a head for each objective."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from whyfirst.config.errors import DataError, UserError
from whyfirst.config.files import read_jsonl
from whyfirst.config.room import Use
from whyfirst.models.edits import EDITS
from whyfirst.models.local import LocalModel
from whyfirst.train.config import KTOStage, PreferStage
from whyfirst.train.encode import encode
from whyfirst.train.heads import Heads
from whyfirst.train.loss import Selection
from whyfirst.train.run import run_stage
from whyfirst.train.weights import load_model, load_tokenizer, save_model

Jsonl = Callable[[str, list[dict[str, Any]]], Path]
FAST: dict[str, Any] = {"updates": 12, "batch_size": 6, "learning_rate": 1e-3}
PAIRS = [
    {"prompt": f"w{i} w1", "chosen": f"w2 w{i}", "rejected": "w3", "objective": i % 2}
    for i in range(24)
]


def _mah(**more: Any) -> PreferStage:
    options = {"name": "mah_dpo", "heads": 2} | more
    return PreferStage(**FAST, objective=options)  # type: ignore[arg-type]


def test_a_borrowed_response_is_to_the_same_prompt(bases: dict[str, Path], jsonl: Jsonl) -> None:
    """Every row's response is borrowed once; of two rows with one prompt another row's."""
    tokenizer, config = load_tokenizer(bases["llama"]), KTOStage(**FAST)
    rows = [{"prompt": f"w{i // 2}", "completion": f"w{i + 5}", "label": i % 2 == 0}
            for i in range(8)]  # fmt: skip
    found = encode(config, tokenizer, {"responses": jsonl("kto", rows)}).candidates
    own = [row.responses[0] for row in found]
    borrowed = [row.responses[1] for row in found]
    assert sorted(borrowed) == sorted(own)
    asked = {tuple(r): p for r, p in zip(own, (row.prompts[0] for row in found), strict=True)}
    for row in found:
        assert row.prompts[0] == row.prompts[1] != asked[tuple(row.responses[1])]
        assert math.isnan(row.labels[1])
    alike = [dict(row, prompt="w1") for row in rows]
    with pytest.raises(DataError, match="one prompt"):
        encode(config, tokenizer, {"responses": jsonl("alike", alike)})


def test_a_borrowed_response_counts_as_trained_on(
    bases: dict[str, Path], tmp_path: Path, jsonl: Jsonl
) -> None:
    """By hand: a prompt of one token, a response of two and its end; three more are compared."""
    config = KTOStage(updates=10, batch_size=4, learning_rate=1e-4)
    rows = [{"prompt": f"w{i}", "completion": "w1 w2", "label": i % 2 == 0} for i in range(8)]
    made = run_stage(config, bases["llama"], {"responses": jsonl("kto", rows)}, tmp_path / "out", 0)
    assert (made.documents, made.tokens_total) == (40, 40 * 2 * (1 + 3))
    assert made.tokens_trained == 40 * 3
    assert read_jsonl(tmp_path / "out" / "log.jsonl")[-1]["tokens"] == 40 * 3


def test_heads_are_fed_others_rows() -> None:
    """By hand: rows of objectives 1, 0 and 1; a head without rows gets a gradient of exactly 0."""
    heads = Heads(torch.nn.Linear(3, 5, bias=False), 3, 0.5, 0)
    hidden, selection = torch.randn(4, 3), Selection()
    heads.selection = selection
    selection.about = {
        "shape": [3, 2, 4], "place": torch.tensor([17, 0, 9, 3]),  # rows 2, 0, 1, 0
        "extras": {"objective": torch.tensor([1.0, 0.0, 1.0])},
    }  # fmt: skip
    logits = heads(hidden)
    for at, head in enumerate((1, 1, 0, 1)):
        assert torch.allclose(logits[at], heads.weight[head] @ hidden[at])
    logits.sum().backward()
    assert heads.weight.grad is not None
    assert not heads.weight.grad[2].any() and heads.weight.grad[:2].any()
    selection.about["extras"]["objective"] = torch.tensor([3.0, 0.0, 0.0])
    with pytest.raises(DataError, match="'objective' is 3"):
        heads(hidden)
    selection.about["extras"]["objective"] = torch.tensor([0.7, 0.0, 0.0])
    with pytest.raises(DataError, match=r"'objective' is 0\.7"):
        heads(hidden)


def test_one_head_without_noise_trains_otherwise_than_dpo(
    bases: dict[str, Path], tmp_path: Path, jsonl: Jsonl
) -> None:
    """From a model whose output layer is its own: heads are never tied to the embeddings."""
    data = {"preferences": jsonl("pairs", [row | {"objective": 0} for row in PAIRS])}
    model, untied = load_model(bases["llama"]), tmp_path / "untied"
    model.config.tie_word_embeddings = False
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
    save_model(model, load_tokenizer(bases["llama"]), untied)
    results = [
        run_stage(config, untied, data, tmp_path / str(n), 0)
        for n, config in enumerate(
            (_mah(heads=1, noise=0.0), PreferStage(**FAST, objective="dpo"))  # type: ignore[arg-type]
        )
    ]
    assert results[0].first_loss == pytest.approx(math.log(2), abs=1e-5)
    assert results[0].last_loss == pytest.approx(results[1].last_loss, abs=1e-5)


def test_a_mix_of_heads_is_no_models_logits(
    bases: dict[str, Path], tmp_path: Path, jsonl: Jsonl
) -> None:
    """Saved, loaded and mixed: weight 1 is that head, equal weights the model as it was saved."""
    data = {"preferences": jsonl("pairs", PAIRS)}
    run_stage(_mah(), bases["llama"], data, tmp_path / "mah", 0)
    model = LocalModel(tmp_path / "mah" / "model")
    stacked = load_file(tmp_path / "mah" / "model" / "heads.safetensors")["heads"]
    assert (stacked[0] - stacked[1]).abs().max() > 1e-3
    layer, ids = model.model.get_output_embeddings(), torch.tensor([[1, 2, 3]])
    plain = model.model(input_ids=ids).logits
    with EDITS.make(_use([0.0, 1.0]))(model):
        assert torch.equal(layer.weight, stacked[1])
        assert not torch.equal(model.model(input_ids=ids).logits, plain)
    with EDITS.make(_use([0.5, 0.5]))(model):
        assert torch.allclose(model.model(input_ids=ids).logits, plain, atol=1e-5)
    assert torch.equal(model.model(input_ids=ids).logits, plain)
    for wrong in ([1.0], [0.7, 0.7]):
        with pytest.raises(UserError, match="add up to 1"), EDITS.make(_use(wrong))(model):
            pass
    with (
        pytest.raises(UserError, match="not trained with mah_dpo"),
        EDITS.make(_use([0.5, 0.5]))(LocalModel(bases["llama"])),
    ):
        pass


def _use(weights: list[float]) -> Use:
    return Use.model_validate({"name": "heads", "weights": weights})


def test_heads_are_drawn_anew_when_resumed(
    bases: dict[str, Path], tmp_path: Path, jsonl: Jsonl
) -> None:
    """Stopped after a checkpoint and run again, every head has the unbroken run's bytes."""
    config = _mah().model_copy(update={"updates": 15, "checkpoint_every": 10})
    data = {"preferences": jsonl("pairs", PAIRS)}

    def stop(done: int, total: int, message: str) -> None:
        if done >= 12:
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        run_stage(config, bases["llama"], data, tmp_path / "broken", 0, stop)
    assert (tmp_path / "broken" / "checkpoints" / "checkpoint-10").is_dir()
    for name in ("broken", "whole"):
        run_stage(config, bases["llama"], data, tmp_path / name, 0)
    for file in ("heads.safetensors", "model.safetensors"):
        broken, whole = (tmp_path / name / "model" / file for name in ("broken", "whole"))
        assert broken.read_bytes() == whole.read_bytes()
