"""From-scratch models: the same bytes again, and text that survives the tokenizer."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from whyfirst.config.errors import DataError
from whyfirst.models.scratch import ScratchConfig, build_scratch

SMALL = {"hidden_size": 16, "layers": 1, "heads": 2, "intermediate_size": 32, "vocab_size": 300}
BUILD = """
import sys
from pathlib import Path
from whyfirst.models.scratch import ScratchConfig, build_scratch
texts = [f"the {w} of the {w}s, again and again" for w in "kettle lantern bell road".split()] * 9
config = ScratchConfig(hidden_size=16, layers=1, heads=2, intermediate_size=32, vocab_size=300)
for seed in (7, 8):
    build_scratch(config, texts, Path(sys.argv[1]) / str(seed), seed=seed)
"""


def _digests(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


def test_two_processes_build_the_same_bytes(tmp_path: Path) -> None:
    for name, hash_seed in (("a", "1"), ("b", "2")):
        subprocess.run(
            [sys.executable, "-c", BUILD, str(tmp_path / name)],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            check=True,
            capture_output=True,
        )
    first, third = _digests(tmp_path / "a" / "7"), _digests(tmp_path / "a" / "8")
    assert first == _digests(tmp_path / "b" / "7")
    assert first["model.safetensors"] != third["model.safetensors"]
    assert first["tokenizer.json"] == third["tokenizer.json"]


def test_building_leaves_the_random_state_alone(tmp_path: Path) -> None:
    import torch

    before = torch.random.get_rng_state()
    build_scratch(ScratchConfig(**SMALL), ["some text"], tmp_path, seed=1)
    assert torch.equal(before, torch.random.get_rng_state())


def test_parameters_are_counted_with_the_shared_embedding_once(tmp_path: Path) -> None:
    config = ScratchConfig(**{**SMALL, "vocab_size": 258})
    count = build_scratch(config, ["ab"], tmp_path, seed=1)
    layer = 4 * 16 * 16 + 3 * 16 * 32 + 2 * 16
    assert count == 258 * 16 + layer + 16


@pytest.fixture(scope="module")
def tokenizer(tiny_folder: Path):  # type: ignore[no-untyped-def]
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_folder)


@settings(max_examples=200, deadline=None)
@given(text=st.text(st.characters(exclude_categories=("Cs",))))
def test_any_text_comes_back_from_the_tokenizer(tokenizer, text: str) -> None:  # type: ignore[no-untyped-def]
    if "<|end|>" in text or "<|pad|>" in text:
        return
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_the_chat_template_renders_the_data_sets_own_format(tokenizer) -> None:  # type: ignore[no-untyped-def]
    turns = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "Why?"},
    ]
    prompt = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    assert prompt == "\n\nHuman: Hi\n\nAssistant: Hello.\n\nHuman: Why?\n\nAssistant:"
    whole = tokenizer.apply_chat_template(
        [*turns, {"role": "assistant", "content": "Because."}], tokenize=False
    )
    assert whole == prompt + " Because.<|end|>"


def test_the_template_marks_the_reply_and_its_end_token_as_generated(tokenizer) -> None:  # type: ignore[no-untyped-def]
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]
    found = tokenizer.apply_chat_template(
        turns, return_dict=True, return_assistant_tokens_mask=True
    )
    marked = [i for i, m in zip(found["input_ids"], found["assistant_masks"], strict=True) if m]
    assert tokenizer.decode(marked) == " Hello.<|end|>"


def test_no_text_or_an_impossible_shape_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="needs texts"):
        build_scratch(ScratchConfig(**SMALL), [], tmp_path, seed=1)
    with pytest.raises(ValidationError, match="even multiple"):
        ScratchConfig(**{**SMALL, "heads": 3})
    with pytest.raises(ValidationError):
        ScratchConfig(**SMALL, hiden_size=1)


def test_every_field_is_declared_for_the_fingerprint() -> None:
    from whyfirst.config.strict import undeclared_fields

    assert undeclared_fields(ScratchConfig) == []
