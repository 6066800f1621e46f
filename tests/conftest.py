"""What every test starts from, and the fixture two areas share: a disk small enough to fill."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

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
