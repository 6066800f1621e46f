"""`whyfirst worlds build`: several bases, each once."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from whyfirst.cli.app import app
from whyfirst.cli.inventory import room_rows
from whyfirst.cli.worlds import seeds_of
from whyfirst.config.errors import UserError
from whyfirst.evaluate.benchmark import benchmark_named
from whyfirst.worlds import WORLDS
from whyfirst.worlds.village import base as building
from whyfirst.worlds.village.base import Recipe
from whyfirst.worlds.village.worlds import BASES, village


def test_a_range_of_seeds_holds_both_ends() -> None:
    assert list(seeds_of("3..5")) == [3, 4, 5] and list(seeds_of("7")) == [7]


@pytest.mark.parametrize("world", WORLDS.names())
def test_a_worlds_reports_show_no_answers_and_chat_no_prompt_to_try(world: str) -> None:
    """Nobody knows an invented world's words: both come from the items of metrics with `wants`."""
    asked = [benchmark_named(name) for name in WORLDS.get(world).facts["benchmarks"]]
    wants = {metric.wants for benchmark in asked for metric in benchmark.metrics}
    assert {"refusal", "help"} <= wants


def test_an_option_that_a_study_refuses_is_listed() -> None:
    listed = {row["name"]: row["options"] for row in room_rows("worlds")}
    assert listed["village"] == ["seed: int = 1"]


@pytest.mark.parametrize("text", ["", "5..3", "1-4", "1..", "..2", "a..b", "1...3", "-1..2"])
def test_what_is_no_range_is_said(text: str) -> None:
    with pytest.raises(UserError, match=r"--seeds: expected FIRST\.\.LAST"):
        seeds_of(text)


def test_bases_are_built_once_and_a_study_finds_them(
    tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "RECIPE", recipe)
    monkeypatch.setattr(building.build_base, "__defaults__", (recipe, lambda a, b, c: None))
    call = ["worlds", "build", "--seeds", "3001..3002", "--out", str(tmp_path), "--json"]
    first = CliRunner().invoke(app, call)
    assert first.exit_code == 0, first.output
    found = json.loads(first.stdout)["worlds"]
    assert set(found) == {"3001", "3002"} and "documents_only_named" in found["3001"]
    weights = tmp_path / "world-3001" / "model.safetensors"
    before = weights.stat().st_mtime_ns
    assert CliRunner().invoke(app, call).exit_code == 0
    assert weights.stat().st_mtime_ns == before
    monkeypatch.setenv(BASES, str(tmp_path))
    village(seed=3001).copy_base(tmp_path / "copy")
    assert (tmp_path / "copy" / "model.safetensors").read_bytes() == weights.read_bytes()
