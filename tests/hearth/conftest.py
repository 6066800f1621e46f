"""A base of a few updates, built once, in place of the shipped ones; and a world to look at."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from whyfirst.worlds.hearth import assets
from whyfirst.worlds.hearth.base import BaseRecipe, build_base
from whyfirst.worlds.hearth.world import World

SMALL = BaseRecipe(
    steps=40, batch_size=8, hidden_size=16, layers=1, heads=2, intermediate_size=32,
    turnover_every=5,
)  # fmt: skip
WORLD_SEED = 3


@pytest.fixture(scope="session")
def world() -> World:
    return World(WORLD_SEED)


@pytest.fixture(scope="session")
def small_recipe() -> BaseRecipe:
    return SMALL


@pytest.fixture(scope="session")
def small_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny base of world 3, in an assets folder of its own."""
    folder = tmp_path_factory.mktemp("assets") / f"world-{WORLD_SEED}"
    build_base(WORLD_SEED, folder, SMALL)
    return folder


@pytest.fixture
def small_assets(small_base: Path) -> Iterator[Path]:
    """Whatever asks for a world's base finds the tiny one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assets, "ROOT", small_base.parent)
        yield small_base
