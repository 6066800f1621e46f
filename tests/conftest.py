"""What every test starts from, and the fixture two areas share: a disk small enough to fill."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from whyfirst.config import plugins

# pytest-xdist sets it in its workers, and tables would be cut to 80 columns there only.
os.environ.pop("COLUMNS", None)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A mounted file system of 1 MiB; skips where mounting isn't allowed."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    try:
        allowed = subprocess.run(command, capture_output=True).returncode == 0
    except FileNotFoundError:
        allowed = False
    if not allowed:
        pytest.skip("mounting a tmpfs needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture(scope="module", autouse=True)
def plug_ins_of_one_file_stay_in_it() -> Iterator[None]:
    """A plug-in used in this process is named in its environment, for workers; which tests share a
    process, and in which order, is the scheduler's choice."""
    before = os.environ.pop(plugins.VARIABLE, None)
    yield
    os.environ.pop(plugins.VARIABLE, None)
    if before is not None:
        os.environ[plugins.VARIABLE] = before
