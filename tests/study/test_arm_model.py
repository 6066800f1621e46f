"""Where the model of a finished study's arm lies."""

from pathlib import Path

import pytest

from whyfirst.config.errors import UserError
from whyfirst.report.schema import load_results
from whyfirst.study.execute.store import Store
from whyfirst.study.running import arm_model

WORLDS = Path(__file__).parents[2] / "docs/reports/hearth-worlds/results.json"


def test_the_base_of_a_drawn_world_is_not_found(tmp_path: Path) -> None:
    """Each seed is a world with a base of its own; one called "base" was looked for."""
    results, store = load_results(WORLDS), Store(tmp_path)
    store.create()
    kept = ("base", results.fingerprints["base:3"])
    folder = store.prepare(*kept)
    (folder / "model").mkdir()
    (folder / "model" / "config.json").write_text("{}")
    store.finish(*kept, {"id": "base:3"})
    assert arm_model(results, "base", 2, tmp_path) == folder / "model"
    with pytest.raises(UserError, match="no model of arm 'base', seed 1"):
        arm_model(results, "base", 1, tmp_path)
