"""Tiny random models, a word-level tokenizer and small data sets for the training tests."""

import json
import random
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PhiConfig,
    PhiForCausalLM,
    PreTrainedTokenizerFast,
)

WORDS = [f"w{i}" for i in range(90)]
VOCABULARY = {"<pad>": 0, "<unk>": 1, "<eos>": 2, "<bos>": 3, "User:": 4, "Bot:": 5}
VOCABULARY |= {word: i + 6 for i, word in enumerate(WORDS)}
TEMPLATE = (
    "{% for m in messages %}{{ 'User: ' if m.role == 'user' else 'Bot: ' }}{{ m.content }}"
    "{{ ' <eos>\n' if m.role == 'assistant' else ' ' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Bot: ' }}{% endif %}"
)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    inner = Tokenizer(models.WordLevel(VOCABULARY, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made = PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token="<eos>", pad_token="<pad>", unk_token="<unk>"
    )
    return made


@pytest.fixture(scope="session")
def chat_tokenizer(tokenizer: Any) -> Any:
    """The same with a chat template, through which prompts given as text go as well."""
    made = deepcopy(tokenizer)
    made.chat_template = TEMPLATE
    return made


def _configs(dropout: float) -> dict[str, Any]:
    size = {"vocab_size": len(VOCABULARY), "bos_token_id": None, "eos_token_id": 2}
    shape = {
        "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 48, "max_position_embeddings": 128, "initializer_range": 0.2,
    }  # fmt: skip
    return {
        "llama": LlamaForCausalLM(LlamaConfig(**size, **shape, tie_word_embeddings=True)),
        "phi": PhiForCausalLM(PhiConfig(**size, **shape, resid_pdrop=dropout)),
        "bloom": BloomForCausalLM(BloomConfig(**size, hidden_size=32, n_layer=2, n_head=2)),
    }


@pytest.fixture(scope="session")
def bases(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> dict[str, Path]:
    """Model folders by architecture; phi has dropout, so its resume needs the random state."""
    folder = tmp_path_factory.mktemp("bases")
    torch.manual_seed(0)
    for name, model in _configs(dropout=0.1).items():
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    return {name: folder / name for name in ("llama", "phi", "bloom")}


@pytest.fixture(scope="session")
def chat_base(
    tmp_path_factory: pytest.TempPathFactory, bases: dict[str, Path], chat_tokenizer: Any
) -> Path:
    """The llama's folder with a tokenizer that has a chat template."""
    folder = tmp_path_factory.mktemp("chat")
    LlamaForCausalLM.from_pretrained(bases["llama"]).save_pretrained(folder)
    chat_tokenizer.save_pretrained(folder)
    return folder


def words(draw: random.Random, low: int, high: int) -> str:
    """A text of `low` to `high` known words."""
    return " ".join(draw.choice(WORDS) for _ in range(draw.randint(low, high)))


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One file of 120 rows for each name `run_stage` knows."""
    folder = tmp_path_factory.mktemp("data")
    draw = random.Random(1)
    rows: dict[str, Callable[[], dict[str, Any]]] = {
        "documents": lambda: {"text": words(draw, 4, 20)},
        "replay": lambda: {"text": words(draw, 4, 20)},
        "demonstrations": lambda: {"prompt": words(draw, 3, 9), "completion": words(draw, 2, 8)},
        "pairs": lambda: {
            "prompt": words(draw, 3, 9),
            "chosen": words(draw, 4, 8),
            "rejected": words(draw, 2, 3),
        },
        "responses": lambda: {
            "prompt": words(draw, 3, 9),
            "completion": words(draw, 2, 8),
            "label": draw.random() < 0.5,
        },
        "prompts": lambda: {"prompt": words(draw, 2, 5)},
    }
    for name, make in rows.items():
        write_rows(folder / f"{name}.jsonl", [make() for _ in range(120)])
    return {name: folder / f"{name}.jsonl" for name in rows}


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write a JSONL file."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def jsonl(tmp_path: Path) -> Callable[[str, list[dict[str, Any]]], Path]:
    """Write rows to a file of this test."""
    return lambda name, rows: write_rows(tmp_path / f"{name}.jsonl", rows)
