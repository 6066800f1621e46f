"""The reference of study files is what the models say, and says it of every key."""

import json

import pytest

from whyfirst.cli import reference


def test_the_page_and_the_schema_are_what_the_models_say() -> None:
    """A page kept by hand described keys that were gone."""
    hint = "run: python -m whyfirst.cli.reference"
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
