"""A tiny real model, built once for this folder's tests."""

from pathlib import Path

import pytest

TEXTS = [
    "\n\nHuman: why does the kettle sing?\n\nAssistant: Because the water boils and the steam "
    "must go somewhere.",
    "\n\nHuman: may I borrow the lantern tonight?\n\nAssistant: Yes, if you bring it back before "
    "the morning bell; others walk that road too.",
    "Ça va? Привет, 世界! 🙂 tabs\tand\r\nline ends, and numbers 3.14159.",
]


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from whyfirst.models.scratch import ScratchConfig, build_scratch

    folder = tmp_path_factory.mktemp("tiny") / "model"
    config = ScratchConfig(
        hidden_size=32, layers=2, heads=2, intermediate_size=64, vocab_size=320, max_length=128
    )
    build_scratch(config, TEXTS, folder, seed=3)
    return folder
