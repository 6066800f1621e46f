"""The scripts under benchmarks/ and docs/make/ go on naming what the package still has.

Nothing else runs most of them, so a name that moved would be noticed by whoever measures next. Left
out: running the others at size.
"""

import ast
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted([*(ROOT / "benchmarks").rglob("*.py"), *(ROOT / "docs" / "make").glob("*.py")])


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_imports_what_moved(script: Path) -> None:
    """Every `from whyfirst... import name`, also those inside functions."""
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == "whyfirst":
            module = importlib.import_module(str(node.module))
            for name in node.names:
                if not hasattr(module, name.name):
                    importlib.import_module(f"{node.module}.{name.name}")


def test_the_script_for_a_gpu_fails_when_there_is_one_at_last(tmp_path: Path) -> None:
    """It runs whole at toy size on a CPU, and its table has every job of every size."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "gpu.py"), "--toy", "--out", "gpu.json"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    table = json.loads((tmp_path / "gpu.json").read_text())["toy"]
    assert all(table[job]["ratio"] > 0 for job in ("scoring", "generation", "training"))
    assert 0 < table["ppo"]["response_share"] < 1
