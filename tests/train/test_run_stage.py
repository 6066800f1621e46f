"""Whole stages on tiny models: what is written, what is trained, what stops."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from whyfirst.config.errors import (
    ConfigError,
    DataError,
    PreflightError,
    StoreError,
    TrainingStopped,
)
from whyfirst.config.files import read_json, read_jsonl, sha256_file
from whyfirst.train.config import DPOStage, ExplainStage, GRPOStage, SFTStage
from whyfirst.train.encode import encode
from whyfirst.train.plan import make_plan
from whyfirst.train.run import run_stage
from whyfirst.train.weights import load_model, load_tokenizer

EXPLAIN = ExplainStage(
    updates=24, batch_size=6, learning_rate=3e-3, replay=0.5, packing=True, max_length=48,
    doc_tag="w1 w2", keep_at=(5, 12), schedule="cosine", warmup_updates=3,
)  # fmt: skip
SFT = SFTStage(updates=20, batch_size=8, learning_rate=3e-3)
DPO = DPOStage(updates=12, batch_size=6, learning_rate=1e-3, beta=0.2)
STAGES: dict[str, tuple[Any, tuple[str, ...]]] = {
    "explain": (EXPLAIN, ("documents", "replay")),
    "sft": (SFT, ("demonstrations",)),
    "dpo": (DPO, ("pairs",)),
}


def _contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): sha256_file(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "timing.json"
    }


@pytest.mark.parametrize("kind", STAGES)
def test_two_runs_differ_or_leave_partial_state(
    bases: dict[str, Path], data: dict[str, Path], tmp_path: Path, kind: str
) -> None:
    config, names = STAGES[kind]
    given = {name: data[name] for name in names}
    seen: list[tuple[int, int, str]] = []
    result = run_stage(config, bases["llama"], given, tmp_path / "a", 7, lambda *p: seen.append(p))
    torch.rand(5)  # another state of the process must not matter
    run_stage(config, bases["llama"], given, tmp_path / "b", 7)
    assert _contents(tmp_path / "a") == _contents(tmp_path / "b")
    assert seen[-1] == (config.updates, config.updates, kind)
    files = _contents(tmp_path / "a")
    assert {"model/model.safetensors", "model/config.json", "model/tokenizer.json",
            "model/generation_config.json", "stage.json", "log.jsonl",
            "preflight.json"} <= set(files)  # fmt: skip
    allowed = (".json", ".jsonl", ".safetensors", ".jinja")
    assert all(name.endswith(allowed) for name in files)  # no pickle, no temporary file
    kept = {name.split("/")[1] for name in files if name.startswith("kept/")}
    assert kept == {f"step-{step}" for step in config.keep_at}
    rows = read_jsonl(tmp_path / "a" / "log.jsonl")
    assert rows[-1]["step"] == config.updates and rows[-1]["tokens"] == result.tokens_trained
    assert rows[0]["loss"] == result.first_loss and rows[-1]["loss"] == result.last_loss
    assert result.last_loss < result.first_loss
    assert read_json(tmp_path / "a/model/config.json").get("use_cache", True)  # fast generation
    assert "seconds" not in json.dumps(rows)


@pytest.mark.parametrize("name", ["llama", "bloom"])
def test_the_adapter_trains_something_else_than_a_plain_loop(
    bases: dict[str, Path], data: dict[str, Path], tmp_path: Path, name: str
) -> None:
    """20 AdamW updates on padded batches with the model's own loss end at the same weights."""
    config = SFT.model_copy(update={"learning_rate": 1e-3, "updates": 10})
    given = {"demonstrations": data["demonstrations"]}
    result = run_stage(config, bases[name], given, tmp_path / "out", 3)
    assert result.layout == ("padded" if name == "bloom" else "packed")

    examples = encode(config, load_tokenizer(bases[name]), given).examples
    plan = make_plan(config, [len(e.ids) for e in examples], [], 3)
    model = load_model(bases[name]).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0)
    for update in plan.updates:
        batch = [examples[i] for (i,) in update]
        width = max(len(e.ids) for e in batch)
        ids = torch.tensor([e.ids + [0] * (width - len(e.ids)) for e in batch])
        labels = torch.tensor(
            [[-100] * e.masked + e.ids[e.masked :] + [-100] * (width - len(e.ids)) for e in batch]
        )
        mask = torch.tensor([[1] * len(e.ids) + [0] * (width - len(e.ids)) for e in batch])
        model(input_ids=ids, attention_mask=mask, labels=labels).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    _assert_close(load_file(tmp_path / "out/model/model.safetensors"), model.state_dict(), 2e-4)


def _assert_close(mine: dict[str, Any], theirs: dict[str, Any], atol: float) -> None:
    for key, tensor in mine.items():
        torch.testing.assert_close(tensor, theirs[key], atol=atol, rtol=1e-3)


def test_micro_batches_change_the_result(
    bases: dict[str, Path], data: dict[str, Path], tmp_path: Path
) -> None:
    """Rows have unequal numbers of trained tokens: a mean of means would differ."""
    given = {"demonstrations": data["demonstrations"]}
    whole = SFT.model_copy(update={"learning_rate": 1e-3})
    parts = whole.model_copy(update={"micro_batch_size": 3})
    run_stage(whole, bases["llama"], given, tmp_path / "whole", 0)
    run_stage(parts, bases["llama"], given, tmp_path / "parts", 0)
    _assert_close(
        load_file(tmp_path / "whole/model/model.safetensors"),
        load_file(tmp_path / "parts/model/model.safetensors"),
        5e-4,
    )


def test_a_finished_run_trains_again(
    bases: dict[str, Path], data: dict[str, Path], tmp_path: Path
) -> None:
    given = {"demonstrations": data["demonstrations"]}
    first = run_stage(SFT, bases["llama"], given, tmp_path, 0)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    again = run_stage(
        SFT, bases["llama"], given, tmp_path, 0, lambda *_: pytest.fail("it trained again")
    )
    assert again == first
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    with pytest.raises(StoreError, match=r"differs in config.learning_rate; give another folder"):
        other = SFT.model_copy(update={"learning_rate": 1e-4})
        run_stage(other, bases["llama"], given, tmp_path, 0)
    with pytest.raises(StoreError, match="differs in seed"):
        run_stage(SFT, bases["llama"], given, tmp_path, 1)


def test_token_counts_by_hand(
    bases: dict[str, Path], tmp_path: Path, jsonl: Callable[..., Path]
) -> None:
    rows = [{"prompt": "w1 w2 w3", "completion": f"w{4 + i} w5"} for i in range(8)]
    given = {"demonstrations": jsonl("d", rows)}
    result = run_stage(SFTStage(updates=10, batch_size=4), bases["llama"], given, tmp_path, 0)
    # 40 rows of 3 + 2 + EOS tokens, of which 3 are trained; 8 rows make 5 epochs.
    assert (result.documents, result.tokens_total, result.tokens_trained) == (40, 240, 120)
    assert result.epochs == 5.0


def test_replay_is_counted_as_documents(
    bases: dict[str, Path], tmp_path: Path, jsonl: Callable[..., Path]
) -> None:
    given = {
        "documents": jsonl("d", [{"text": f"w{i} w2 w3"} for i in range(20)]),
        "replay": jsonl("r", [{"text": f"w{i}"} for i in range(20)]),
    }
    config = ExplainStage(updates=10, batch_size=4, replay=0.5)
    result = run_stage(config, bases["llama"], given, tmp_path, 0)
    # 20 documents of 4 tokens and 20 replay rows of 2 (with EOS); the first token isn't trained.
    assert (result.documents, result.replay_documents) == (20, 20)
    assert (result.tokens_total, result.tokens_replay, result.tokens_trained) == (120, 40, 80)
    assert result.epochs == 1.0


@pytest.mark.parametrize(
    ("loss_type", "first"),
    [("sigmoid", math.log(2)), ("sigmoid_norm", math.log(2)), ("hinge", 1.0), ("ipo", 6.25)],
)
def test_dpo_reference_is_not_the_start(
    bases: dict[str, Path], data: dict[str, Path], tmp_path: Path, loss_type: Any, first: float
) -> None:
    config = DPO.model_copy(update={"loss_type": loss_type, "updates": 10})
    result = run_stage(config, bases["llama"], {"pairs": data["pairs"]}, tmp_path, 0)
    assert result.first_loss == pytest.approx(first, rel=1e-4)


def test_a_wrong_dpo_reference_is_accepted(
    bases: dict[str, Path], data: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scores of a model that was changed since, as when a stage before it was not saved."""
    from whyfirst.train import scores

    real = scores.ReferenceScores._share

    def changed(self: Any, model: Any, selection: Any) -> Any:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(1.5)
        found = real(self, model, selection)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.div_(1.5)
        return found

    monkeypatch.setattr(scores.ReferenceScores, "_share", changed)
    with pytest.raises(TrainingStopped, match="the reference is not the model"):
        run_stage(DPO, bases["llama"], {"pairs": data["pairs"]}, tmp_path, 0)


@pytest.mark.parametrize("kind", STAGES)
def test_nan_is_trained_on(
    bases: dict[str, Path], data: dict[str, Path], tmp_path: Path, kind: str
) -> None:
    config, names = STAGES[kind]
    wild = config.model_copy(
        update={"learning_rate": 1e37, "keep_at": (), "schedule": "constant", "warmup_updates": 0}
    )
    with pytest.raises(TrainingStopped, match=r"at update \d+; no checkpoint was written"):
        run_stage(wild, bases["llama"], {n: data[n] for n in names}, tmp_path, 0)
    assert not (tmp_path / "stage.json").exists() and not (tmp_path / "model").exists()


def test_nan_loses_the_last_good_checkpoint(
    bases: dict[str, Path], data: dict[str, Path], tmp_path: Path
) -> None:
    """A linear warm-up to an absurd rate: the first checkpoint is written before it blows up."""
    config = SFTStage(
        updates=2000, batch_size=4, learning_rate=1e37, warmup_updates=2000, checkpoint_every=10,
        max_grad_norm=1.0,
    )  # fmt: skip
    given = {"demonstrations": data["demonstrations"]}
    with pytest.raises(TrainingStopped) as stopped:
        run_stage(config, bases["llama"], given, tmp_path, 0)
    assert not (tmp_path / "stage.json").exists()
    for folder in (tmp_path / "checkpoints").glob("checkpoint-*"):
        weights = load_file(folder / "model.safetensors")
        assert all(tensor.isfinite().all() for tensor in weights.values())
        assert str(tmp_path / "checkpoints") in str(stopped.value)


def test_bfloat16_weights_are_saved_rounded(
    bases: dict[str, Path], data: dict[str, Path], tmp_path: Path
) -> None:
    config = SFT.model_copy(update={"dtype": "bfloat16", "updates": 10})
    run_stage(config, bases["llama"], {"demonstrations": data["demonstrations"]}, tmp_path, 0)
    weights = load_file(tmp_path / "model/model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float32}
    assert any((t != t.bfloat16().float()).any() for t in weights.values())


def test_a_silent_no_op_is_trained(
    bases: dict[str, Path], data: dict[str, Path], tmp_path: Path
) -> None:
    config = SFTStage(epochs=1, batch_size=60)
    given = {"demonstrations": data["demonstrations"]}
    with pytest.raises(PreflightError, match=r"are 2 weight updates.*batch_size 13 gives 10"):
        run_stage(config, bases["llama"], given, tmp_path, 0)
    refused = [f for f in read_json(tmp_path / "preflight.json") if f["level"] == "refuse"]
    assert [f["check"] for f in refused] == ["updates"]


@pytest.mark.parametrize(
    ("config", "updates"),
    [
        (SFTStage(epochs=1, batch_size=12, keep_at=(10, 11)), 10),
        (
            GRPOStage(epochs=1, batch_size=8, group_size=4, iterations=2, keep_at=(0,),
                      max_length=96, rewards=({"name": "length"},)),
            120,
        ),
    ],
    ids=["given tokens", "its own"],
)  # fmt: skip
def test_weights_after_an_update_that_is_never_made_are_asked_for_and_not_kept(
    bases: dict[str, Path], data: dict[str, Path], tmp_path: Path, config: Any, updates: int
) -> None:
    """Only where updates were counted in `updates` was it refused: 120 rows are one epoch."""
    said = rf"{config.kind}: keep_at \[{config.keep_at[-1]}\] lies outside the {updates} updates"
    with pytest.raises(ConfigError, match=said):
        run_stage(config, bases["llama"], data, tmp_path, 0)


def test_a_folder_without_a_model(data: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no model there"):
        run_stage(SFT, tmp_path, {"demonstrations": data["demonstrations"]}, tmp_path / "o", 0)


def test_a_library_phones_home(
    bases: dict[str, Path], data: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.delenv("CI", raising=False)
    run_stage(DPO, bases["llama"], data, tmp_path / "dpo", 0)
    grpo = GRPOStage(
        updates=10, batch_size=4, group_size=2, max_new_tokens=3, rewards=({"name": "length"},)
    )
    run_stage(grpo, bases["llama"], data, tmp_path / "grpo", 0)
    from huggingface_hub import constants

    assert constants.HF_HUB_DISABLE_TELEMETRY
