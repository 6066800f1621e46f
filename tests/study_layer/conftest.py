"""A tiny base of Hearth's world 3 for the whole session, and the reduced study run once on it."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import layer_helpers as layer
import pytest
from layer_helpers import Finished

from whyfirst.models.gguf_file import is_packaged
from whyfirst.study import plan as planning
from whyfirst.study.nodes import files as naming
from whyfirst.study.nodes.files import DATA, Files
from whyfirst.worlds.hearth import assets
from whyfirst.worlds.hearth.base import BaseRecipe, build_base

# As few steps as answer with a yes or a no, so that something can be scored.
SMALL = BaseRecipe(
    steps=300, batch_size=8, hidden_size=16, layers=1, heads=2, intermediate_size=32,
    turnover_every=5,
)  # fmt: skip


@pytest.fixture(scope="session")
def base_assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An assets folder with a tiny base of world 3."""
    root = tmp_path_factory.mktemp("assets")
    build_base(layer.WORLD_SEED, root / f"world-{layer.WORLD_SEED}", SMALL)
    return root


@pytest.fixture
def hearth(base_assets: Path) -> Iterator[Path]:
    """This process finds the tiny base too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assets, "ROOT", base_assets)
        yield base_assets


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, base_assets: Path) -> Finished:
    """The reduced study, run once by the real command. Tests only read it or copy it."""
    folder = tmp_path_factory.mktemp("finished")
    file = layer.write(folder)
    code, printed, errors = layer.run(file, folder / "store", folder / "out", base_assets)
    assert code == 0, errors
    return Finished(file, folder / "store", folder / "out", printed)


@pytest.fixture
def anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plans as any machine makes them: no library versions, a CPU, data and packages by name."""
    content = Files.content

    def by_name(self: Files, text: str, used_by: str) -> str:
        if text.startswith(DATA) or is_packaged(text):
            return hashlib.sha256(text.encode()).hexdigest()
        return content(self, text, used_by)

    monkeypatch.setattr(planning, "version", lambda name: "any")
    monkeypatch.setattr(planning, "device_kind", lambda: "cpu")
    monkeypatch.setattr(Files, "content", by_name)
    monkeypatch.setattr(naming, "packaged", lambda text: Path(text))
