"""An option of any method that may name a file is typed as one, so that the file counts.

A study hashes what options of type `Path` name, finds it beside the study file and refuses it where
it is missing (study/nodes/builder.py). A file named by mere text is in no fingerprint: results of
one file are then taken for another's.
"""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

import pytest

from whyfirst.cli.inventory import ROOMS
from whyfirst.config.room import Entry, Room

KINDS = ROOMS | {
    "kinds": ("whyfirst.train.kinds", "KINDS"),
    "benchmarks": ("whyfirst.evaluate.benchmark", "BENCHMARKS"),
    "scorers": ("whyfirst.evaluate.scorers", "SCORERS"),
}
# What says of an option that it names a file, and what opens one.
FILE = re.compile(r"\b(files?|folders?|paths?|jsonl|yaml)\b", re.IGNORECASE)
OPENS = re.compile(r"^(Path|open|read_\w+|load_\w+|iter_rows|load_file)$")


def types_in(annotation: Any) -> set[Any]:
    """A type and all it is made of."""
    return {annotation}.union(*(types_in(part) for part in get_args(annotation)))


def described(entry: Entry[Any]) -> dict[str, str]:
    """Option -> what its field and its function's docstring say of it."""
    found = {
        name: field.description or "" for name, field in entry.schema.model_fields.items()
    }  # fmt: skip
    listed = (inspect.getdoc(entry.function) or "").partition("Args:")[2]
    for names, text in re.findall(r"^    (\w[\w, ]*): (.*(?:\n {8}.*)*)", listed, re.MULTILINE):
        for name in set(names.split(", ")) & set(found):
            found[name] += text
    # `needs` speaks of data as ``library (a JSONL file of ...)``.
    for name, text in re.findall(r"(\w+) \(([^)]*)\)", entry.needs):
        if name in found:
            found[name] += text
    return found


def opened(entry: Entry[Any]) -> set[str]:
    """Names that a method's own function gives to what opens a file."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(entry.function)))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return {
        given.id
        for call in calls
        if OPENS.match(call.func.id if isinstance(call.func, ast.Name) else "")
        for given in call.args
        if isinstance(given, ast.Name)
    }


def named_by_text(room: Room[Any]) -> Iterator[str]:
    """Options that may name a file and that no fingerprint would look into."""
    for entry in room.entries():
        says, opens = described(entry), opened(entry)
        # A place is a name of what ships or a file, and a model counts by its folder.
        known = {*entry.facts.get("places", ()), *entry.facts.get("models", ())}
        for option in entry.options:
            parts = types_in(option.type)
            text = str in parts and not any(
                isinstance(part, type) and issubclass(part, Path) for part in parts
            )
            said = FILE.search(f"{option.name} {says[option.name]}") or option.name in opens
            if text and said and option.name not in known:
                yield f"{room.kind} {entry.name}: {option.name}"


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_decides_results_is_in_no_fingerprint(kind: str) -> None:
    module, name = KINDS[kind]
    assert list(named_by_text(getattr(import_module(module), name))) == []


def test_the_test_above_sees_a_file_however_it_is_told() -> None:
    room: Room[None] = Room("methods")

    @room.enter("opens")
    def opens(*, words: str) -> None:
        Path(words).touch()

    @room.enter("documented")
    def documented(*, words: str | None = None, other: int = 1) -> None:
        """One.

        Args:
            other: no file at all.
            words: the
                file.
        """

    @room.enter("needed", needs="words (a JSON file), patience")
    def needed(*, words: str, fine: Path) -> None:
        """Two."""

    assert list(named_by_text(room)) == [
        "methods documented: words", "methods needed: words", "methods opens: words",
    ]  # fmt: skip
