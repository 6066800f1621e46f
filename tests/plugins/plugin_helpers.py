"""The example methods, and the study that uses them, shared by the tests of this folder."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whyfirst.config import plugins
from whyfirst.config.files import read_json

HERE = Path(__file__).parent
METHODS = sorted((HERE / "methods").glob("*.py"))
INSTALLED = HERE / "package" / "whyfirst_length_guard.py"


@dataclass(frozen=True)
class Study:
    """A copy of the study with its methods, and a folder of installed packages."""

    folder: Path

    @property
    def file(self) -> Path:
        return self.folder / "study.yaml"

    def command(self, *words: str) -> str:
        """What `whyfirst study ...` prints, in a process of its own."""
        paths = [str(self.folder / "site"), os.environ.get("PYTHONPATH", "")]
        dropped = ("COLUMNS", "FORCE_COLOR", "WHYFIRST_STORE", plugins.VARIABLE)
        done = subprocess.run(
            [sys.executable, "-m", "whyfirst", "study", words[0], str(self.file), *words[1:],
             "--store", str(self.folder.parent / "store"), "--json"],
            cwd=self.folder, text=True, capture_output=True, timeout=600,
            env={k: v for k, v in os.environ.items() if k not in dropped}
            | {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    @property
    def results(self) -> dict[str, Any]:
        found: dict[str, Any] = read_json(self.folder / "out" / "report" / "results.json")
        return found


def copied(folder: Path) -> Study:
    """The study's files, and the package as an installer leaves it."""
    for name in ("study.yaml", "demonstrations.csv", "prompts.jsonl"):
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(HERE / name, folder)
    shutil.copytree(HERE / "methods", folder / "methods", ignore=shutil.ignore_patterns("__py*"))
    shutil.copytree(HERE / "package", folder / "package", ignore=shutil.ignore_patterns("__py*"))
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation",
         "--disable-pip-version-check", "--no-index", "--target", str(folder / "site"),
         str(folder / "package")],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    return Study(folder)
