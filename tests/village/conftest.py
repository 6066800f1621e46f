"""A base of a few updates, and a village to look at."""

from dataclasses import replace
from pathlib import Path

import pytest

from whyfirst.worlds.village.base import RECIPE, Recipe, build_base
from whyfirst.worlds.village.world import Village

SMALL = replace(
    RECIPE, batch_size=64, hidden_size=16, heads=2, intermediate_size=32, first_known=256,
    open_at=0.0, turnover_after=10, turnover_every=10, unmet_for=10, check_every=10, fall_after=0,
    latest=40, fall=10,
)  # fmt: skip
SEED = 2001


@pytest.fixture(scope="session")
def village() -> Village:
    return Village(SEED)


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    return SMALL


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny base."""
    folder = tmp_path_factory.mktemp("base") / "model"
    build_base(SEED, folder, SMALL)
    return folder
