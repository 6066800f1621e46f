"""The reference of study files is what the models say, and says it of every key."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "docs" / "make"))
import study_file as reference  # type: ignore[import-not-found]


def test_the_page_and_the_schema_are_what_the_models_say() -> None:
    """A page kept by hand described keys that were gone."""
    hint = "run: python docs/make/study_file.py"
    assert reference.PAGE.read_text(encoding="utf-8") == reference.page(), hint
    kept = json.loads(reference.SCHEMA_FILE.read_text(encoding="utf-8"))
    assert kept == json.loads(json.dumps(reference.schema())), hint


def test_every_key_says_what_it_is() -> None:
    assert reference.missing() == []


@pytest.mark.parametrize("key", ["arms", "contrasts", "learning_rate", "teacher", "plugins"])
def test_a_key_has_type_default_meaning_and_example(key: str) -> None:
    rows = [line for line in reference.page().splitlines() if line.startswith(f"| `{key}` |")]
    assert rows
    assert all(len([cell for cell in row.split(" | ") if cell.strip("| ")]) == 5 for row in rows)
