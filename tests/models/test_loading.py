"""Model folders: what loads, in which precision, with which adapter; and what is refused, how."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import ARCHITECTURES, build_adapter, build_tiny, copy_of

from whyfirst.config.errors import UserError
from whyfirst.models import loading
from whyfirst.models.base import Sampling, asked
from whyfirst.models.local import LocalModel

PROMPTS = ["\n\nHuman: why?\n\nAssistant:", asked("may I borrow the lantern?", system="be kind")]
TARGETS = {
    "phi": ["q_proj", "dense"],
    "llama": ["q_proj", "v_proj"],
    "qwen2": ["q_proj", "down_proj"],
    "gpt_neox": ["query_key_value"],
}


@pytest.fixture(scope="module")
def spoiled(tiny_family: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A fresh copy of the tiny llama to spoil."""

    def copy() -> Path:
        return copy_of(tiny_family["llama"], tmp_path_factory.mktemp("spoiled") / "model")

    return copy


def one_line(error: UserError) -> str:
    text = str(error)
    assert "\n" not in text and len(text) < 900, text
    return text


def answers(model: LocalModel) -> Any:
    return (
        model.generate(PROMPTS, sampling=Sampling(max_new_tokens=6)),
        model.loglikelihood([(prompt, [" Yes.", " No, never."]) for prompt in PROMPTS]),
    )


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_each_architecture_loads_generates_and_scores(
    name: str, tiny_family: dict[str, Path]
) -> None:
    model = LocalModel(tiny_family[name], device="cpu")
    generated, scored = answers(model)
    assert all(row[0].problem is None and row[0].text for row in generated)
    assert all(answer.problem is None and answer.logprob < 0 for row in scored for answer in row)
    assert model.chat_template == "plain"


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_adapter_changes_answers_as_peft_itself_does(
    name: str, tiny_family: dict[str, Path], tmp_path: Path
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = tiny_family[name]
    adapter = build_adapter(base, tmp_path / "adapter", TARGETS[name])
    model = LocalModel(base, device="cpu", adapter=str(adapter))
    ids = torch.tensor([model.tokenizer("the kettle sings")["input_ids"]])
    reference = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), str(adapter))
    with torch.no_grad():
        expected = reference.eval()(input_ids=ids).logits
        found = model.model(input_ids=ids).logits
        without = LocalModel(base, device="cpu").model(input_ids=ids).logits
    assert torch.allclose(found, expected, atol=1e-4)
    assert not torch.allclose(found, without, atol=1e-1)


def test_a_folder_that_is_an_adapter_loads_its_base_under_it(
    tiny_family: dict[str, Path], tmp_path: Path
) -> None:
    base = tiny_family["llama"]
    adapter = build_adapter(base, tmp_path / "adapter", TARGETS["llama"])
    alone = LocalModel(adapter, device="cpu")
    given = LocalModel(base, device="cpu", adapter=str(adapter))
    assert answers(alone) == answers(given)
    assert alone.fingerprint == given.fingerprint
    # A base named by a relative path is looked for beside the adapter as well.
    config = json.loads((adapter / "adapter_config.json").read_text())
    shutil.copytree(base, tmp_path / "base")
    (adapter / "adapter_config.json").write_text(
        json.dumps({**config, "base_model_name_or_path": "../base"})
    )
    assert answers(LocalModel(adapter, device="cpu")) == answers(given)
    with pytest.raises(UserError, match="is an adapter itself"):
        LocalModel(adapter, device="cpu", adapter=str(adapter))


def test_the_fingerprint_covers_adapter_dtype_and_template(
    tiny_family: dict[str, Path], tmp_path: Path
) -> None:
    base = tiny_family["llama"]
    one = build_adapter(base, tmp_path / "one", TARGETS["llama"], seed=1)
    two = build_adapter(base, tmp_path / "two", TARGETS["llama"], seed=2)
    variants: list[dict[str, Any]] = [
        {},
        {"adapter": str(one)},
        {"adapter": str(two)},
        {"dtype": "bfloat16"},
        {"chat_template": "chatml"},
    ]
    prints = {LocalModel(base, device="cpu", **more).fingerprint for more in variants}
    assert len(prints) == len(variants)


def test_an_adapter_for_another_model_is_refused(
    tiny_family: dict[str, Path], tmp_path: Path
) -> None:
    adapter = build_adapter(tiny_family["phi"], tmp_path / "adapter", ["q_proj", "dense"])
    with pytest.raises(UserError, match="the adapter doesn't fit") as caught:
        LocalModel(tiny_family["llama"], device="cpu", adapter=str(adapter))
    assert str(tiny_family["phi"]) in one_line(caught.value)
    with pytest.raises(UserError, match="the adapter doesn't fit"):
        LocalModel(tiny_family["gpt_neox"], device="cpu", adapter=str(adapter))
    wide = build_adapter(tiny_family["llama"], tmp_path / "wide", ["q_proj"])
    other = tmp_path / "wider"
    build_tiny("llama", other)
    from transformers import AutoModelForCausalLM, LlamaConfig

    config = LlamaConfig.from_pretrained(other, hidden_size=48, num_attention_heads=2, head_dim=24)
    AutoModelForCausalLM.from_config(config).save_pretrained(other)
    with pytest.raises(UserError, match="the adapter doesn't fit"):
        LocalModel(other, device="cpu", adapter=str(wide))


def test_an_adapter_of_nan_is_refused(tiny_family: dict[str, Path], tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    adapter = build_adapter(tiny_family["llama"], tmp_path / "adapter", ["q_proj"])
    tensors = load_file(adapter / "adapter_model.safetensors")
    save_file(
        {k: v * float("nan") for k, v in tensors.items()}, adapter / "adapter_model.safetensors"
    )
    with pytest.raises(UserError, match="can't be merged") as caught:
        LocalModel(tiny_family["llama"], device="cpu", adapter=str(adapter))
    one_line(caught.value)


def test_an_adapter_with_the_embeddings_saved_beside_it_fits(
    tiny_family: dict[str, Path], tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    base = tiny_family["llama"]
    adapter = build_adapter(base, tmp_path / "adapter", ["q_proj"])
    tensors = load_file(adapter / "adapter_model.safetensors")
    weights = load_file(base / "model.safetensors")
    name = "model.embed_tokens.weight"
    saved = {**tensors, f"base_model.model.{name}": weights[name] + 1}
    save_file(saved, adapter / "adapter_model.safetensors")
    model = LocalModel(base, device="cpu", adapter=str(adapter))
    assert torch.equal(model.model.get_input_embeddings().weight, weights[name] + 1)


def test_an_adapter_that_is_none_says_what_is_missing(
    tiny_family: dict[str, Path], tmp_path: Path
) -> None:
    base = tiny_family["llama"]
    with pytest.raises(UserError, match=r"adapter_config\.json is missing"):
        LocalModel(base, device="cpu", adapter=str(tiny_family["phi"]))
    adapter = build_adapter(base, tmp_path / "adapter", ["q_proj"])
    weights = (adapter / "adapter_model.safetensors").read_bytes()
    (adapter / "adapter_model.safetensors").write_bytes(weights[:40])
    with pytest.raises(UserError, match="not a readable safetensors file") as caught:
        LocalModel(base, device="cpu", adapter=str(adapter))
    one_line(caught.value)
    (adapter / "adapter_model.safetensors").unlink()
    (adapter / "adapter_model.bin").write_bytes(b"pickle")
    with pytest.raises(UserError, match="a pickle is refused"):
        LocalModel(base, device="cpu", adapter=str(adapter))
    config = json.loads((adapter / "adapter_config.json").read_text())
    for name, said in ((None, "names no base_model_name_or_path"), ("/no/base", "can't be loaded")):
        changed = {**config, "base_model_name_or_path": name}
        (adapter / "adapter_config.json").write_text(json.dumps(changed))
        with pytest.raises(UserError, match=said):
            LocalModel(adapter, device="cpu")


@pytest.mark.parametrize("spoil", ["cut", "empty", "garbage"])
def test_corrupt_weights_name_the_file_and_the_remedy(spoil: str, spoiled: Any) -> None:
    folder = spoiled()
    weights = folder / "model.safetensors"
    data = weights.read_bytes()
    weights.write_bytes({"cut": data[:-100], "empty": b"", "garbage": b"\x01" * 300}[spoil])
    with pytest.raises(UserError, match="not a readable safetensors file") as caught:
        LocalModel(folder, device="cpu")
    assert "model.safetensors" in one_line(caught.value) and "again" in str(caught.value)


def test_a_missing_tokenizer_config_or_weights_says_so(spoiled: Any) -> None:
    folder = spoiled()
    (folder / "tokenizer.json").unlink()
    with pytest.raises(UserError, match="no tokenizer there") as caught:
        LocalModel(folder, device="cpu")
    one_line(caught.value)
    folder = spoiled()
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match="the tokenizer can't be loaded") as caught:
        LocalModel(folder, device="cpu")
    one_line(caught.value)
    folder = spoiled()
    (folder / "config.json").write_text("{not json")
    with pytest.raises(UserError, match=r"config\.json: not readable as JSON"):
        LocalModel(folder, device="cpu")
    (folder / "config.json").write_text('{"model_type": "no-such-model"}')
    with pytest.raises(UserError, match="can't be loaded") as caught:
        LocalModel(folder, device="cpu")
    one_line(caught.value)
    folder = spoiled()
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"no \*\.safetensors file there"):
        LocalModel(folder, device="cpu")


def _replace_model(folder: Path, model: Any) -> None:
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder)


def test_an_encoder_a_classifier_and_a_headless_model_are_refused(spoiled: Any) -> None:
    """Their missing tensors would be drawn at random and evaluated."""
    import transformers as t

    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
             "intermediate_size": 64, "vocab_size": 320, "pad_token_id": 1}  # fmt: skip
    made = [
        t.BertForMaskedLM(t.BertConfig(**shape)),
        t.BertModel(t.BertConfig(**shape)),
        t.LlamaForSequenceClassification(t.LlamaConfig(**shape, num_labels=1)),
        t.LlamaModel(t.LlamaConfig(**shape)),
        t.T5ForConditionalGeneration(
            t.T5Config(d_model=32, d_ff=64, d_kv=16, num_layers=1, num_heads=2, vocab_size=320)
        ),
    ]
    for model in made:
        folder = spoiled()
        _replace_model(folder, model)
        with pytest.raises(UserError, match="is no causal language model") as caught:
            LocalModel(folder, device="cpu")
        one_line(caught.value)


def test_weights_that_lack_a_tensor_are_refused(spoiled: Any) -> None:
    from safetensors.torch import load_file, save_file

    folder = spoiled()
    tensors = load_file(folder / "model.safetensors")
    del tensors["lm_head.weight"], tensors["model.norm.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"2 of the model's tensors .*lm_head\.weight") as caught:
        LocalModel(folder, device="cpu")
    one_line(caught.value)


def test_sixteen_bits_are_kept_and_bfloat16_is_taken_where_the_device_computes_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoConfig

    folder = build_tiny("llama", tmp_path / "half", dtype="float16")
    assert LocalModel(folder, device="cpu").model.dtype == torch.float16
    assert LocalModel(folder, device="cpu", dtype="float32").model.dtype == torch.float32
    config = AutoConfig.from_pretrained(folder)
    for supported, expected in ((True, torch.bfloat16), (False, "auto")):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: supported)  # noqa: B023
        assert loading.default_dtype(config, "cuda:0") == expected
        assert loading.default_dtype(config, "cpu") == "auto"
    config.dtype = torch.float32
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    assert loading.default_dtype(config, "cuda") == "auto"


def test_a_device_map_places_the_model_and_changes_no_answer(tiny_family: dict[str, Path]) -> None:
    plain = LocalModel(tiny_family["qwen2"], device="cpu")
    mapped = LocalModel(tiny_family["qwen2"], device="cpu", device_map="cpu")
    assert answers(mapped) == answers(plain)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_device_map_to_a_gpu_that_is_not_there_is_a_traceback(
    tiny_family: dict[str, Path],
) -> None:
    for named in ("cuda:1", "foo"):
        with pytest.raises(UserError, match="the model can't be loaded") as caught:
            LocalModel(tiny_family["llama"], device="cpu", device_map=named)
        one_line(caught.value)


def _without(folder: Path, *names: str) -> None:
    """Take special tokens out of every file of a tokenizer and a model."""
    for file in ("tokenizer_config.json", "config.json", "generation_config.json"):
        path = folder / file
        if path.is_file():
            kept = {k: v for k, v in json.loads(path.read_text()).items() if k not in names}
            path.write_text(json.dumps(kept))


def test_a_tokenizer_without_pad_token_changes_nothing(
    spoiled: Any, tiny_family: dict[str, Path]
) -> None:
    folder = spoiled()
    _without(folder, "pad_token", "pad_token_id")
    assert LocalModel(folder, device="cpu").tokenizer.pad_token is None
    expected = answers(LocalModel(tiny_family["llama"], device="cpu"))
    assert answers(LocalModel(folder, device="cpu")) == expected


def test_without_an_end_token_scores_work_and_open_ended_generation_is_refused(
    spoiled: Any,
) -> None:
    folder = spoiled()
    _without(folder, "eos_token", "eos_token_id", "pad_token", "pad_token_id")
    model = LocalModel(folder, device="cpu")
    assert model.tokenizer.eos_token is None
    ((answer,),) = model.loglikelihood([("the", [" kettle"])])
    assert answer.problem is None and answer.logprob < 0
    with pytest.raises(UserError, match="no end token") as caught:
        model.generate(["the"])
    assert "eos_token" in one_line(caught.value)
    # The plain template's turn end can end a chat, a stop text anything.
    assert model.generate([asked("the")])[0][0].problem is None
    assert model.generate(["the"], sampling=Sampling(stop=("\n",)))[0][0].problem is None


def test_a_tokenizer_with_more_tokens_than_the_model_is_refused(spoiled: Any) -> None:
    from transformers import AutoTokenizer

    folder = spoiled()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["<extra>"])
    tokenizer.save_pretrained(folder)
    model = LocalModel(folder, device="cpu")
    assert model.generate(["plain"])[0][0].problem is None
    with pytest.raises(UserError, match="token 320 is not in the model's 320"):
        model.generate(["an <extra> word"])
