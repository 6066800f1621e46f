"""What benchmarks ask, read from their files, and which documents repeat it.

A file is CSV, JSON, JSONL, parquet or plain text; the prompts' column is found by its name or given
as ``PATH:COLUMN``. Leaves out: how benchmarks are run (`evaluate/`), and their answers.
"""

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whyfirst.config.bounded import read_text
from whyfirst.config.errors import DataError, did_you_mean
from whyfirst.data.leaks import find_leaks
from whyfirst.data.rows import iter_rows, numbered, text_of

_SUFFIXES = (".csv", ".json", ".jsonl", ".txt")
_SHOWN = 5  # files of a folder that a message names
_COLUMNS = ("prompt", "question", "goal", "behavior", "instruction", "request", "input", "text")


@dataclass(frozen=True)
class PromptSet:
    """The prompts of one benchmark."""

    name: str
    prompts: tuple[str, ...]


def read_tested(given: str) -> PromptSet:
    """Read a benchmark's prompts.

    Args:
        given: a file, or ``PATH:COLUMN``.

    Raises:
        DataError: no such file, no such column, or no prompt in it.
    """
    path, column = split_given(given)
    if path.is_dir():
        files = (file for file in path.rglob("*") if file.suffix in _SUFFIXES and file.is_file())
        # A few are enough to see what is there, of a folder with thousands.
        some = [str(file.relative_to(path)) for file in itertools.islice(files, _SHOWN + 1)]
        more = ", ..." if len(some) > _SHOWN else ""
        found = f", e.g. {', '.join(sorted(some[:_SHOWN]))}{more}"
        none = f" (none of {', '.join(_SUFFIXES)} is there)"
        raise DataError(
            f"{path}: is a folder; name the file of prompts in it{found if some else none}"
        )
    if path.suffix in (".txt", ".md"):
        prompts = [line.strip() for line in read_text(path).splitlines()]
    else:
        prompts = _column(path, list(iter_rows(path)), column)
    prompts = [prompt for prompt in prompts if prompt]
    if not prompts:
        raise DataError(f"{path}: no prompts in it")
    return PromptSet(path.stem, tuple(prompts))


def split_given(given: str) -> tuple[Path, str | None]:
    """The file of ``PATH`` or ``PATH:COLUMN``, and the column where one is named."""
    # A file whose own name holds a colon is a file.
    if Path(given).is_file() or ":" not in given:
        return Path(given), None
    place, column = given.rsplit(":", 1)
    return Path(place), column


def _column(path: Path, rows: Sequence[dict[str, Any]], column: str | None) -> list[str]:
    names = list(rows[0]) if rows else []
    if column is None:
        # Public sets spell it Prompt, prompt or PROMPT; which it is, is the same question.
        by_name = {str(name).casefold(): name for name in names}
        column = next((by_name[c] for c in _COLUMNS if c in by_name), None)
        if column is None:
            raise DataError(
                f"{path}: no column of prompts is known (there are: {', '.join(map(str, names))}); "
                "say which with PATH:COLUMN"
            )
    elif column not in names:
        raise DataError(f"{path}: no column {column!r}{did_you_mean(column, map(str, names))}")
    for number, row in numbered(rows):
        if column not in row:
            raise DataError(f"{path}: row {number}: no column {column!r}, which others have")
    return [_words(row[column]) for row in rows if row[column] is not None]


def _words(prompt: Any) -> str:
    """A text, or what is said in a list of messages; anything else as JSON, in its own letters."""
    try:
        return text_of(prompt)
    except (TypeError, KeyError):
        return json.dumps(prompt, ensure_ascii=False)


def overlaps(rows: Sequence[dict[str, Any]], tested: Sequence[PromptSet]) -> list[dict[str, Any]]:
    """Documents that hold a prompt, share a run with one or repeat one; names, no texts."""
    texts = [row["text"] for row in rows]
    return [
        {"document": rows[leak.text]["id"], "benchmark": benchmark.name,
         "prompt": leak.tested + 1, "kind": leak.kind, "similarity": leak.similarity}
        for benchmark in tested
        for leak in find_leaks(texts, benchmark.prompts)
    ]  # fmt: skip


def leaks(texts: Sequence[str], tested: Sequence[PromptSet]) -> dict[int, str]:
    """Index of each text that repeats a prompt -> the benchmark's name."""
    found: dict[int, str] = {}
    for benchmark in tested:
        for leak in find_leaks(texts, benchmark.prompts):
            found.setdefault(leak.text, benchmark.name)
    return found
