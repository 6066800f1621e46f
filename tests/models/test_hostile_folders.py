"""A folder that is broken, or made to do harm, ends in one message, and runs no code."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_models import build_adapter, build_tiny, copy_of

from whyfirst.config.errors import UserError
from whyfirst.models.base import Sampling, asked
from whyfirst.models.folder import reason
from whyfirst.models.local import LocalModel

NONSENSE = (
    None, True, -1, 0, 3, 2**31, 10**40, 1.5, 1e308, "", "x", "a\0b", "../../x", "\ud800",
    "9" * 5000, [], ["x"], [[]], {}, {"a": 1}, "someone/kernel",
)  # fmt: skip
ASKED_FOR = (
    "quantization_config", "auto_map", "_attn_implementation", "dtype", "chat_template",
    "architectures", "model_type", "rope_scaling", "text_config", "id2label", "layer_types",
    "sliding_window", "tokenizer_class", "extra_special_tokens", "added_tokens_decoder",
    "model_max_length", "pruned_heads", "eos_token_id", "stop_strings", "experts_implementation",
)  # fmt: skip
FILES = (
    "config.json", "generation_config.json", "tokenizer_config.json", "tokenizer.json",
    "adapter_config.json",
)  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A model and an adapter of it."""
    place = tmp_path_factory.mktemp("whole")
    base = build_tiny("llama", place / "m")
    return base, build_adapter(base, place / "a", ["q_proj"])


@pytest.fixture
def spoiled(whole: tuple[Path, Path], tmp_path: Path) -> Callable[..., Path]:
    """A copy of the model with one key of a file changed."""

    def make(file: str, key: str, value: Any) -> Path:
        folder = copy_of(whole[0], tmp_path / f"m{len(list(tmp_path.iterdir()))}")
        content = json.loads((folder / file).read_text())
        (folder / file).write_text(json.dumps({**content, key: value}))
        return folder

    return make


def spoil(draw: random.Random, path: Path) -> str:
    """Change one thing in a JSON file, and say what."""
    if (how := draw.random()) < 0.1:
        path.write_text("[" * 3000 + "]" * 3000)
        return "deep"
    if how < 0.15:
        path.write_bytes(path.read_bytes()[: draw.randrange(200)])
        return "cut"
    content, value = json.loads(path.read_text()), draw.choice(NONSENSE)
    key = draw.choice([*content, *draw.sample(ASKED_FOR, 5)])
    if isinstance(content.get(key), dict) and content[key] and draw.random() < 0.6:
        content[key][draw.choice(list(content[key]))] = value
    else:
        content[key] = value
    path.write_text(json.dumps(content))
    return f"{key}: {value!r:.40}"


@pytest.mark.parametrize("seed", range(60))
def test_nonsense_in_a_file_is_a_traceback(
    whole: tuple[Path, Path], tmp_path: Path, seed: int
) -> None:
    base, adapter = (copy_of(folder, tmp_path / folder.name) for folder in whole)
    draw = random.Random(seed)
    name = FILES[seed % len(FILES)]
    spoil(draw, (adapter if name.startswith("adapter") else base) / name)
    try:
        model = LocalModel(base, device="cpu", adapter=str(adapter))
        model.generate([asked("hi")], sampling=Sampling(max_new_tokens=2))
        model.loglikelihood([("the", [" kettle"])])
    except UserError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("vocab_size", 10**9, "describes a model of at least"),
        ("num_hidden_layers", 10**9, "describes a model of at least"),
        ("intermediate_size", 10**8, "describes a model of at least"),
        ("hidden_size", 2**30, "describes a model of at least"),
        ("num_attention_heads", 2**40, "is no size of a model"),
        ("max_position_embeddings", 2**30, "positions are no model's"),
        ("quantization_config", {"quant_method": "gptq", "bits": 4}, r"quantised \('gptq'\)"),
        ("quantization_config", {"quant_method": "of-next-year"}, r"quantised \('of-next-year'\)"),
        ("quantization_config", "yes", r"quantised \('yes'\)"),
    ],
)
def test_a_config_asks_for_more_than_its_weights_hold(
    spoiled: Any, key: str, value: Any, said: str
) -> None:
    folder = spoiled("config.json", key, value)
    with pytest.raises(UserError, match=said) as caught:
        LocalModel(folder, device="cpu")
    assert "config.json" in str(caught.value)


@pytest.mark.parametrize("name", ["kernels-community/flash-attn", "flash_attention_2", "eager"])
def test_a_config_fetches_a_kernel(spoiled: Any, whole: tuple[Path, Path], name: str) -> None:
    """Or needs a package that isn't there: attention is computed by what is built in."""
    model = LocalModel(spoiled("config.json", "_attn_implementation", name), device="cpu")
    used = model.model.config._attn_implementation
    assert used == ("eager" if name == "eager" else "sdpa")
    again = LocalModel(spoiled("config.json", "attn_implementation", name), device="cpu")
    assert again.model.config._attn_implementation in ("eager", "sdpa")


def test_code_of_a_folder_runs_unasked(spoiled: Any, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    own = {"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.Model"}
    folder = spoiled("config.json", "auto_map", own)
    (folder / "code.py").write_text(f"open({str(ran)!r}, 'w')\n")
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**content, "model_type": "of-its-own"}))
    with pytest.raises(UserError, match="the model can't be loaded"):
        LocalModel(folder, device="cpu")
    for name in ("pytorch_model.bin", "adapter_model.bin"):
        (folder / name).write_bytes(b"\x80\x04.")
    assert not ran.exists()


@pytest.mark.parametrize("shard", ["../m/model.safetensors", "/etc/x.safetensors", "a\0b", "x.bin"])
def test_an_index_names_a_file_outside_its_folder(
    whole: tuple[Path, Path], tmp_path: Path, shard: str
) -> None:
    folder = copy_of(whole[0], tmp_path / "m")
    (folder / "model.safetensors").unlink()
    index = {"metadata": {}, "weight_map": {"lm_head.weight": shard}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(UserError, match="is no safetensors file of this folder"):
        LocalModel(folder, device="cpu")
    index["weight_map"] = {"lm_head.weight": "model-00001-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(UserError, match=r"model-00001-of-00002\.safetensors is missing"):
        LocalModel(folder, device="cpu")


def test_a_tensor_that_is_no_part_of_the_model_is_left_out_in_silence(
    whole: tuple[Path, Path], tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    folder = copy_of(whole[0], tmp_path / "m")
    tensors = load_file(folder / "model.safetensors")
    tensors["model.layers.0.self_attn.q_proj.magnitude"] = tensors["model.norm.weight"].clone()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"1 of the tensors .* no part of the model .*magnitude"):
        LocalModel(folder, device="cpu")


@pytest.mark.parametrize("path", ["a\0b", "x" * 5000, "a/" + "b" * 5000, ""])
def test_a_text_that_is_no_path_is_a_traceback(path: str) -> None:
    with pytest.raises(UserError):
        LocalModel(path, device="cpu")


def test_weights_that_the_disk_refuses_are_called_missing(tmp_path: Path) -> None:
    """safetensors says "No such file" of an I/O error, and a user looks for what is there."""
    weights = tmp_path / "model.safetensors"
    missing = FileNotFoundError(f"No such file or directory: {weights}")
    assert reason(missing) == f"No such file or directory: {weights}"
    weights.touch()
    assert reason(missing) == f"the disk refuses it: {weights}"
