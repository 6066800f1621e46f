"""Tiny models that probes are run on, and statements they can read."""

from collections.abc import Callable
from typing import Any

import pytest
from probe_items import WORDS, probe_pairs
from tiny_models import build_tiny

from whyfirst.models.base import Prompt
from whyfirst.models.local import LocalModel
from whyfirst.probe.pairs import Answer, Items, Request


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    """A random two-layer Llama."""
    return LocalModel(build_tiny("llama", tmp_path_factory.mktemp("probe") / "a"), device="cpu")


@pytest.fixture(scope="session")
def other_llama(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    """Another one, with other weights."""
    folder = tmp_path_factory.mktemp("probe") / "b"
    return LocalModel(build_tiny("llama", folder, seed=1), device="cpu")


@pytest.fixture
def probe_items() -> Items:
    """Pairs, and requests whose answers are read by their first letter."""

    def requests(seed: int) -> list[Request]:
        return [
            Request(
                f"{word}/{framing}", f"{framing} use the {word} {seed}", number % 2 == 0, "care",
                word, framing, " no", " yes",
            )
            for number, word in enumerate(WORDS)
            for framing in ("please", "now")
        ]  # fmt: skip

    def answer(request: Request, text: str) -> Answer:
        return Answer(len(text) % 2 == 0, len(text) % 3 == 0)

    return Items(probe_pairs(), requests, answer, max_new_tokens=3)


@pytest.fixture
def hidden_states() -> Callable[[LocalModel, Prompt], list[Any]]:
    """All hidden states of one text alone, from transformers itself: (T, D) each."""
    import torch

    def run(model: LocalModel, text: Prompt) -> list[Any]:
        ids = torch.tensor(model.encode_prompts([text]))
        with torch.no_grad():
            found = model.model(input_ids=ids, output_hidden_states=True).hidden_states
        return [state[0] for state in found]

    return run
