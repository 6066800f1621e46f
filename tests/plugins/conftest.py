"""The methods of this folder, in this process, and the study that uses them, run once."""

from collections.abc import Iterator
from importlib import import_module

import pytest
from plugin_helpers import INSTALLED, METHODS, Study, copied

from whyfirst.cli.inventory import ROOMS
from whyfirst.config import plugins
from whyfirst.evaluate.benchmark import BENCHMARKS
from whyfirst.evaluate.scorers import SCORERS


@pytest.fixture(scope="module")
def methods() -> Iterator[None]:
    """The plug-ins are loaded here, and nothing of them is left in rooms or environment."""
    kinds = [getattr(import_module(module), name) for module, name in ROOMS.values()]
    with pytest.MonkeyPatch.context() as patch:
        for room in (*kinds, SCORERS, BENCHMARKS):
            room.names()  # its own are entered first, and stay
            patch.setattr(room, "_entries", dict(room._entries))
        patch.setattr(plugins, "_loaded", dict(plugins._loaded))
        patch.setenv(plugins.VARIABLE, "")
        plugins.use([*METHODS, INSTALLED])
        yield


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The study, run by the real command. Tests only read it."""
    pytest.importorskip("hatchling", reason="hatchling is not installed")
    study = copied(tmp_path_factory.mktemp("outside") / "study")
    study.command("run", "--out", str(study.folder / "out"), "--workers", "1")
    return study
