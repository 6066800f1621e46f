"""The methods of this folder, in this process, and the study that uses them, run once."""

from collections.abc import Iterator

import pytest
from plugin_helpers import INSTALLED, METHODS, Study, copied

from whyfirst.config import plugins


@pytest.fixture(scope="module")
def methods() -> Iterator[None]:
    """The plug-ins are loaded here, and what other tests start knows nothing of them."""
    with pytest.MonkeyPatch.context() as patch:
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
