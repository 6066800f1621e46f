"""The examples of docs/ do what they say, typed in as they stand."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


def blocks(page: str, language: str) -> list[str]:
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def test_the_constitution_of_the_page_is_refused_by_its_own_example(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It named a conflict with a value that it didn't have."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my-team.yaml").write_text(blocks("constitutions", "yaml")[0])
    found: dict[str, object] = {}
    exec(blocks("constitutions", "python")[0], found)
    corpora = found["documents"]
    assert isinstance(corpora, dict) and [len(rows) for rows in corpora.values()] == [2000] * 4


def test_the_example_of_a_stage_can_be_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`run_stage(config, ...)` was named without any config."""
    monkeypatch.chdir(tmp_path)
    exec(blocks("training", "python")[0], {})
    assert (tmp_path / "aligned" / "model" / "config.json").is_file()
