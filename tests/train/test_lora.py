"""Low-rank adapters: what is trained, what is saved, and what the reference is."""

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch

from whyfirst.config.errors import ConfigError
from whyfirst.config.files import read_json, read_jsonl, sha256_file
from whyfirst.models.local import LocalModel
from whyfirst.train import weights
from whyfirst.train.config import DPOStage, GRPOStage, LoraConfig, RewardStage, SFTStage, Stage
from whyfirst.train.run import run_stage
from whyfirst.train.weights import load_tokenizer

LORA = LoraConfig(r=4, alpha=8.0)
APART = LoraConfig(r=4, alpha=8.0, merge=False)


def _sft(**more: Any) -> SFTStage:
    return SFTStage(updates=12, batch_size=8, learning_rate=1e-2, **{"lora": LORA, **more})


def _dpo(**more: Any) -> DPOStage:
    return DPOStage(updates=12, batch_size=8, **{"lora": LORA, "learning_rate": 1e-2, **more})


def _run(config: Any, model: Path, data: dict[str, Path], out: Path, seed: int = 1) -> Any:
    return run_stage(config, model, data, out, seed)


def _logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(torch.arange(5, 25)[None]).logits
    return found


def _loaded(folder: Path) -> torch.Tensor:
    return _logits(LocalModel(folder).model)


@pytest.fixture(scope="module")
def adapter(
    bases: dict[str, Path], data: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The output folder of an sft stage that saved its adapter alone."""
    out = tmp_path_factory.mktemp("adapter")
    _run(_sft(lora=APART, keep_at=(6,)), bases["llama"], data, out)
    return out


def test_an_adapter_trained_in_half_precision_is_refused_when_it_is_merged(
    bases: dict[str, Path], data: dict[str, Path], tmp_path: Path
) -> None:
    """The weights are in float32, and so is the check of them."""
    for name, lora in (("merged", LORA), ("apart", APART)):
        _run(_sft(lora=lora, dtype="bfloat16", keep_at=(6,)), bases["llama"], data, tmp_path / name)
    one, other = (_loaded(tmp_path / name / "model") for name in ("merged", "apart"))
    assert torch.allclose(one, other, atol=1e-4)


@pytest.mark.parametrize("base", ["llama", "phi", "bloom"])
def test_merged_weights_compute_something_else(
    bases: dict[str, Path], data: dict[str, Path], tmp_path: Path, base: str
) -> None:
    """Tied and untied output layers, biases, dropout: merged and apart are the same model."""
    dropped = LORA.model_copy(update={"dropout": 0.1})
    _run(_sft(lora=dropped), bases[base], data, tmp_path / "merged")
    apart = dropped.model_copy(update={"merge": False})
    _run(_sft(lora=apart), bases[base], data, tmp_path / "apart")
    merged = _loaded(tmp_path / "merged" / "model")
    assert not (tmp_path / "merged" / "model" / weights.ADAPTER).exists()
    torch.testing.assert_close(_loaded(tmp_path / "apart" / "model"), merged, atol=1e-4, rtol=1e-4)
    assert (merged - _loaded(bases[base])).abs().max() > 0.1


def test_an_adapter_does_not_name_its_base_or_drags_it_along(
    bases: dict[str, Path], adapter: Path
) -> None:
    folder = adapter / "model"
    names = {path.name for path in folder.iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors", "tokenizer.json"} <= names
    assert "config.json" not in names and "README.md" not in names
    base = read_json(folder / weights.ADAPTER)["base_model_name_or_path"]
    assert Path(base) == bases["llama"].resolve()
    small = (folder / "adapter_model.safetensors").stat().st_size
    assert small < (bases["llama"] / "model.safetensors").stat().st_size
    # The weights kept on the way are an adapter too, and of another moment.
    kept = _loaded(adapter / "kept" / "step-6")
    assert (kept - _loaded(folder)).abs().max() > 1e-3


def test_only_the_adapter_is_trained_and_in_float32(bases: dict[str, Path]) -> None:
    torch.manual_seed(0)
    lora = LoraConfig(base_dtype="bfloat16", target_modules=("q_proj", "up_proj"))
    start = weights.load_start(_sft(lora=lora), bases["llama"])
    trained = {n: p for n, p in start.adapted().named_parameters() if p.requires_grad}
    assert {p.dtype for p in trained.values()} == {torch.float32}
    assert {start.model.lm_head.weight.dtype} == {torch.bfloat16}
    assert len(trained) == 2 * 2 * 2  # layers, modules, A and B
    assert all(".lora_" in n and ("q_proj" in n or "up_proj" in n) for n in trained)


def test_a_bfloat16_base_is_saved_in_another_dtype(
    bases: dict[str, Path], data: dict[str, Path], tmp_path: Path
) -> None:
    lora = LORA.model_copy(update={"base_dtype": "bfloat16"})
    result = _run(_sft(lora=lora), bases["llama"], data, tmp_path)
    assert result.last_loss < result.first_loss
    assert read_json(tmp_path / "model" / "config.json")["dtype"] == "bfloat16"


@pytest.mark.parametrize("lora", [None, LORA])
def test_recomputing_activations_changes_the_weights(
    bases: dict[str, Path], data: dict[str, Path], tmp_path: Path, lora: LoraConfig | None
) -> None:
    for name, on in (("plain", False), ("recomputed", True)):
        config = _sft(lora=lora, gradient_checkpointing=on)
        _run(config, bases["llama"], data, tmp_path / name)
    plain, recomputed = (
        sha256_file(tmp_path / name / "model" / "model.safetensors")
        for name in ("plain", "recomputed")
    )
    assert plain == recomputed


def test_dpo_keeps_a_second_copy_or_another_reference(
    bases: dict[str, Path], data: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[Path] = []
    real = weights.load_model

    def counted(path: Path, *rest: Any, **more: Any) -> Any:
        loads.append(path)
        return real(path, *rest, **more)

    monkeypatch.setattr(weights, "load_model", counted)
    result = _run(_dpo(), bases["llama"], data, tmp_path)
    assert loads == [bases["llama"]]
    assert result.first_loss == pytest.approx(0.6931, abs=1e-4)
    assert result.last_loss < 0.68


def test_a_continued_adapter_begins_elsewhere_or_moves_its_reference(
    bases: dict[str, Path], data: dict[str, Path], adapter: Path, tmp_path: Path
) -> None:
    """DPO on a continued adapter: its reference is that adapter's first state, not the base."""
    result = _run(_dpo(adapter="continue"), adapter / "model", data, tmp_path / "dpo")
    assert result.first_loss == pytest.approx(0.6931, abs=1e-4)
    assert result.last_loss < 0.68
    # The same start, merged: full weights, a reference of its own, and the same first gradient.
    end = _run(_sft(adapter="continue"), adapter / "model", data, tmp_path / "sft", seed=2)
    merged = _run(_sft(adapter="fresh"), adapter / "model", data, tmp_path / "fresh", seed=2)
    assert end.first_loss == pytest.approx(merged.first_loss, rel=1e-4)
    assert end.first_loss < 4.5 < _run(_sft(), bases["llama"], data, tmp_path / "new").first_loss


def test_a_fresh_start_on_an_adapter_loses_it(
    data: dict[str, Path], adapter: Path, tmp_path: Path
) -> None:
    """The adapter is merged into `start/`, which the new adapter names as its base."""
    folder = adapter / "model"
    _run(_dpo(adapter="fresh", lora=APART), folder, data, tmp_path)
    base = tmp_path / "start"
    torch.testing.assert_close(_loaded(base), _loaded(folder), atol=1e-4, rtol=1e-4)
    assert read_json(tmp_path / "model" / weights.ADAPTER)["base_model_name_or_path"] == "../start"
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for name in ("start", "model"):
        (tmp_path / name).rename(moved / name)
    assert (_loaded(moved / "model") - _loaded(moved / "start")).abs().max() > 1e-3


def test_whole_weights_are_compared_with_the_base_under_the_adapter(
    data: dict[str, Path], adapter: Path, tmp_path: Path
) -> None:
    """dpo and grpo without an adapter of their own: the trap is TRL's reload by model name."""
    config = _dpo(adapter="fresh", lora=None, learning_rate=1e-3)
    result = _run(config, adapter / "model", data, tmp_path / "dpo")
    assert result.first_loss == pytest.approx(0.6931, abs=1e-4)
    for number, (how, lora) in enumerate(itertools.product(("fresh", "continue"), (None, LORA))):
        if how == "continue" and lora is None:
            continue
        grpo = GRPOStage(
            updates=10, batch_size=8, group_size=4, max_new_tokens=6, learning_rate=1e-2,
            rewards=({"name": "length"},), lora=lora, adapter=how,
        )  # fmt: skip
        out = tmp_path / f"grpo{number}"
        _run(grpo, adapter / "model", data, out)
        kl = [row["kl"] for row in read_jsonl(out / "log.jsonl")]
        assert kl[0] == pytest.approx(0, abs=1e-4) and kl[-1] > 1e-3


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (_sft(), "is an adapter; say `adapter: fresh`"),
        (_sft(adapter="continue", lora=LoraConfig(r=8, alpha=8.0)), "has r 4, and `lora` says 8"),
        (
            _sft(adapter="continue", lora=LoraConfig(r=4, alpha=8.0, target_modules=("q_proj",))),
            "has target_modules",
        ),
        (
            RewardStage(updates=20, lora=LORA, adapter="continue"),
            "can't continue the adapter of a language model",
        ),
    ],
)
def test_an_adapter_is_guessed_at(
    data: dict[str, Path], adapter: Path, tmp_path: Path, config: Stage, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        _run(config, adapter / "model", data, tmp_path)


def test_an_adapter_is_looked_for_in_whole_weights(
    bases: dict[str, Path], data: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"adapter is 'fresh', but .* holds whole weights"):
        _run(_sft(adapter="fresh"), bases["llama"], data, tmp_path)


def test_saving_changes_the_model(bases: dict[str, Path], tmp_path: Path) -> None:
    """A copy kept on the way must leave the training to the bit as it was."""
    torch.manual_seed(0)
    model = weights.load_start(_sft(), bases["llama"]).adapted()
    for parameter in model.parameters():
        parameter.data += 0.01
    before = {name: value.clone() for name, value in model.state_dict().items()}
    weights.save_model(model, load_tokenizer(bases["llama"]), tmp_path / "kept", LORA)
    after = model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], value) for name, value in before.items())
