"""The one merger: what is merged computes what the adapter does, and what isn't LoRA is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import build_adapter, build_tiny, copy_of

from whyfirst.config.errors import UserError
from whyfirst.models import adapters
from whyfirst.models.local import LocalModel

IDS = torch.tensor([[5, 9, 20, 31, 7, 8]])


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model.eval()(input_ids=IDS).logits
    return found


@pytest.fixture(scope="module")
def tied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama whose output layer is its embedding."""
    from safetensors.torch import load_file, save_file

    folder = build_tiny("llama", tmp_path_factory.mktemp("tied") / "m")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": True}))
    tensors = load_file(folder / "model.safetensors")
    tensors.pop("lm_head.weight", None)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize(
    "targets", [["lm_head"], ["embed_tokens"], ["q_proj"], ["lm_head", "embed_tokens", "up_proj"]]
)
def test_an_adapter_on_one_of_two_tied_layers_changes_both(
    tied: Path, tmp_path: Path, targets: list[str]
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    folder = build_adapter(tied, tmp_path / "a", targets)
    plain = AutoModelForCausalLM.from_pretrained(tied)
    truth = logits(PeftModel.from_pretrained(plain, str(folder)))
    model = LocalModel(folder, device="cpu")
    assert torch.allclose(logits(model.model), truth, atol=1e-4)
    model.model.save_pretrained(tmp_path / "saved")
    saved = AutoModelForCausalLM.from_pretrained(tmp_path / "saved")
    assert torch.allclose(logits(saved), truth, atol=1e-4)
    assert saved.config.tie_word_embeddings == (targets == ["q_proj"])


def test_merging_beside_a_model_changes_it(tied: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    folder = build_adapter(tied, tmp_path / "a", ["q_proj", "lm_head"])
    base = AutoModelForCausalLM.from_pretrained(tied)
    wrapped = adapters.open_adapter(base, folder, tied, trained=True).train()
    before = {name: value.clone() for name, value in wrapped.state_dict().items()}
    trained = [name for name, value in wrapped.named_parameters() if value.requires_grad]
    adapters.merged_weights(wrapped)
    assert wrapped.training
    assert trained == [name for name, value in wrapped.named_parameters() if value.requires_grad]
    assert all(torch.equal(value, before[name]) for name, value in wrapped.state_dict().items())
    head, embedding = wrapped.get_base_model().lm_head, base.get_input_embeddings()
    assert head.base_layer.weight is embedding.weight  # tied as before


def test_a_merger_that_computes_something_else_is_accepted(
    tiny_family: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it would be with an option of a later PEFT that no name gives away."""
    from peft.tuners.lora import Linear

    base = tiny_family["llama"]
    folder = build_adapter(base, tmp_path / "a", ["q_proj"])
    real = Linear.get_delta_weight
    monkeypatch.setattr(Linear, "get_delta_weight", lambda self, name: 1.2 * real(self, name))
    with pytest.raises(UserError, match="the merged weights give other logits"):
        LocalModel(base, device="cpu", adapter=str(folder))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"use_dora": True}, "use_dora: True"),
        ({"lora_bias": True}, "lora_bias: True"),
        ({"bias": "all"}, "bias: 'all'"),
        ({"trainable_token_indices": [1, 2]}, r"trainable_token_indices: \[1, 2\]"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights: 'pissa'"),
        ({"layer_replication": [[0, 2]]}, "layer_replication"),
        ({"a_later_option": {"on": True}}, "a_later_option"),
        ({"peft_type": "IA3"}, "peft_type: 'IA3'"),
        ({"peft_type": ["LORA"]}, r"peft_type: \['LORA'\]"),
        ({"r": 10**9}, "its ranks are"),
        ({"r": "two"}, "its ranks are"),
        ({"rank_pattern": {"q_proj": 10**9}}, "its ranks are"),
        ({"target_modules": 3}, "the adapter doesn't fit"),
        ({"target_modules": ["k_proj"]}, "the adapter doesn't fit"),
    ],
)
def test_what_is_not_plain_lora_is_merged_as_if_it_were(
    tiny_family: dict[str, Path], tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    base = tiny_family["llama"]
    folder = build_adapter(base, tmp_path / "a", ["q_proj"])
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(UserError, match=said) as caught:
        LocalModel(base, device="cpu", adapter=str(folder))
    assert "\n" not in str(caught.value) and str(folder) in str(caught.value)


def test_patterns_of_rank_and_scale_are_lost(tiny_family: dict[str, Path], tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = tiny_family["llama"]
    config = LoraConfig(
        r=2, lora_alpha=4, target_modules=["q_proj", "v_proj"], rank_pattern={"v_proj": 3},
        alpha_pattern={"q_proj": 16}, use_rslora=True, init_lora_weights=False,
    )  # fmt: skip
    wrapped = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
    wrapped.save_pretrained(tmp_path / "a")
    truth = logits(wrapped)
    model = LocalModel(base, device="cpu", adapter=str(tmp_path / "a"))
    assert torch.allclose(logits(model.model), truth, atol=1e-4)


def test_renamed_keys_leave_the_base_as_it_is(tiny_family: dict[str, Path], tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    base = tiny_family["llama"]
    folder = build_adapter(base, tmp_path / "a", ["q_proj"])
    file = folder / "adapter_model.safetensors"
    renamed = {
        k.replace("model.layers", "model.other.layers"): v for k, v in load_file(file).items()
    }
    save_file(renamed, file)
    with pytest.raises(UserError, match="tensors don't match"):
        LocalModel(base, device="cpu", adapter=str(folder))


@pytest.mark.parametrize("revision", [None, "main", "0" * 39])
def test_a_base_on_the_hub_may_change_under_an_adapter(
    tiny_family: dict[str, Path], tmp_path: Path, revision: str | None
) -> None:
    folder = build_adapter(tiny_family["llama"], tmp_path / "a", ["q_proj"])
    config = json.loads((folder / "adapter_config.json").read_text())
    named = {**config, "base_model_name_or_path": "someone/model", "revision": revision}
    (folder / "adapter_config.json").write_text(json.dumps(named))
    with pytest.raises(UserError, match=r"'someone/model' may change on the Hub: write its commit"):
        LocalModel(folder, device="cpu")


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000, "/no/such", "../../.."])
def test_a_base_that_is_no_path_is_a_traceback(
    tiny_family: dict[str, Path], tmp_path: Path, name: str
) -> None:
    folder = build_adapter(tiny_family["llama"], tmp_path / "a", ["q_proj"])
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(
        json.dumps({**config, "base_model_name_or_path": name})
    )
    with pytest.raises(UserError, match="the adapter's base model can't be loaded"):
        LocalModel(copy_of(folder, tmp_path / "b"), device="cpu")
