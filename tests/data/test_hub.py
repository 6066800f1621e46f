"""Data sets of the Hub, from a cache laid out as the Hub's client lays it out."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from whyfirst.config.errors import UserError
from whyfirst.data.hub import data_path

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SCRIPT = """
import sys
from whyfirst.data.hub import data_path
from whyfirst.data.behaviours import read_behaviours
from whyfirst.config.errors import UserError
try:
    folder = data_path(sys.argv[1])
    print(folder.name, [row.id for row in read_behaviours(folder)])
except UserError as error:
    print("refused:", error)
"""


def _offline(cache: Path, name: str) -> str:
    environment = os.environ | {"HF_HOME": str(cache), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, name], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_cached_data_set_is_read_at_its_commit(tmp_path: Path) -> None:
    repository = tmp_path / "hub" / "datasets--org--behaviours"
    snapshot = repository / "snapshots" / COMMIT
    blob = repository / "blobs" / "b1"
    for folder in (snapshot, blob.parent, repository / "refs"):
        folder.mkdir(parents=True)
    blob.write_text("goal,target\nx,y\n")
    (snapshot / "advbench.csv").symlink_to(blob)
    (repository / "refs" / "main").write_text(COMMIT)
    expected = f"{COMMIT} ['advbench:2']\n"
    assert _offline(tmp_path, "hub:org/behaviours") == expected
    assert _offline(tmp_path, f"hub:org/behaviours@{COMMIT}") == expected
    assert _offline(tmp_path, "hub:org/other").startswith("refused: hub:org/other: can't be")


def test_a_path_stays_a_path(tmp_path: Path) -> None:
    assert data_path(str(tmp_path)) == tmp_path
    with pytest.raises(UserError, match="hub:ORG/NAME"):
        data_path(str(tmp_path / "none"))
    with pytest.raises(UserError, match="ORG/NAME"):
        data_path("hub:nothing")
