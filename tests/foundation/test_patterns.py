"""Patterns that read other people's text: none may take time by the square of its length."""

import re
from pathlib import Path

import pytest

from whyfirst.evaluate.asking import read_reply
from whyfirst.models.base import Completion

SOURCES = sorted((Path(__file__).parents[2] / "src").rglob("*.py"))
ACROSS = re.compile(r"\^(?:\\s|\[\\s)")
"""A line's beginning, and then white space that goes on over the lines after it."""


@pytest.mark.parametrize("line", [r'"^\s*a", re.MULTILINE', r'"(?m)^[\s>]*a"'])
def test_the_search_below_finds_such_patterns(line: str) -> None:
    assert ACROSS.search(line)


def test_a_pattern_tries_the_same_blank_lines_from_each_of_them() -> None:
    """A judge's reply of 100,000 line breaks took 13 seconds to be found without a grade."""
    found = [
        f"{path.name}: {line.strip()}"
        for path in SOURCES
        for line in path.read_text(encoding="utf-8").splitlines()
        if ("MULTILINE" in line or "(?m)" in line) and ACROSS.search(line)
    ]
    assert not found


def test_blank_lines_and_marks_before_a_grade_hide_it() -> None:
    reply = read_reply(
        Completion("\n" * 100_000 + "  > **K3Y** refused=1", True), "K3Y", ["refused"]
    )
    assert reply.values == {"refused": "1"}
