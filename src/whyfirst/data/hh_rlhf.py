"""Preference pairs: the HH-RLHF files, and the field's prompt / chosen / rejected columns.

Text is kept byte for byte: `prompt + chosen` is the published dialogue. A line that can't be read
stops the reader with its number; a readable row that is no usable pair is returned as skipped with
its number and reason. Leaves out: conversational (messages) columns and downloading.
"""

import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from whyfirst.data.split import split_by_prompt_hash
from whyfirst.errors import DataError

_REPLY = "\n\nAssistant:"


@dataclass(frozen=True)
class Pair:
    """Two replies to one prompt, `chosen` preferred.

    Args:
        row: line number in its file, from 1.
        file: the file's name within what was read.
    """

    row: int
    prompt: str
    chosen: str
    rejected: str
    file: str = ""

    @property
    def id(self) -> str:
        """``file:row``, unique within what was read."""
        return f"{self.file}:{self.row}"

    @property
    def characters(self) -> int:
        """Length of the prompt with the longer reply."""
        return len(self.prompt) + max(len(self.chosen), len(self.rejected))


@dataclass(frozen=True)
class Skipped:
    """A row that was read and is no usable pair; `prompt` decides its side of a split."""

    row: int
    reason: str
    file: str = ""
    prompt: str = ""

    @property
    def id(self) -> str:
        """``file:row``, as a pair's."""
        return f"{self.file}:{self.row}"


class Pairs(NamedTuple):
    """What a reader found; together every row of the input."""

    pairs: list[Pair]
    skipped: list[Skipped]


def read_hh(path: Path) -> Pairs:
    """Read pairs of whole dialogues (``chosen``, ``rejected``) or explicit ``prompt`` columns.

    A dialogue pair is cut after the last ``"\\n\\nAssistant:"``, up to where both must agree.

    Args:
        path: a .jsonl or .jsonl.gz file, or a folder holding such files at any depth.

    Raises:
        DataError: nothing there, a torn archive, or a row that is no object with these texts.
    """
    files = _files(path)
    pairs: list[Pair] = []
    skipped: list[Skipped] = []
    for file in files:
        name = file.relative_to(path).as_posix() if path.is_dir() else file.name
        for number, row in _rows(file):
            found = _pair(file, number, row, name)
            if isinstance(found, Pair):
                pairs.append(found)
            else:
                skipped.append(found)
    return Pairs(pairs, skipped)


def split_hh(path: Path, held_out: float, max_characters: int | None = None) -> tuple[Pairs, Pairs]:
    """Read `path` and return its training and its held-out rows, split by prompt hash.

    Args:
        held_out: expected share of prompts held out, from 0 to 1.
        max_characters: leave out pairs whose prompt and longer reply together have more.

    Raises:
        DataError: as `read_hh`.
    """
    found = read_hh(path)
    short = [p for p in found.pairs if max_characters is None or p.characters <= max_characters]
    train, held = split_by_prompt_hash(short, held_out)
    train_skipped, held_skipped = split_by_prompt_hash(found.skipped, held_out)
    return Pairs(train, train_skipped), Pairs(held, held_skipped)


def training_pairs(path: Path, held_out: float, max_characters: int | None = None) -> list[Pair]:
    """The usable training rows of `split_hh`."""
    return split_hh(path, held_out, max_characters)[0].pairs


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    files = sorted(f for f in path.rglob("*") if f.name.endswith((".jsonl", ".jsonl.gz")))
    if not files:
        raise DataError(f"{path}: holds no .jsonl or .jsonl.gz file")
    return files


def _rows(file: Path) -> Iterator[tuple[int, Any]]:
    try:
        data = file.read_bytes()
        if file.name.endswith(".gz"):
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{file}: can't be read: {error}") from error
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line.decode("utf-8"))
        except ValueError as error:
            raise DataError(f"{file}: row {number}: not readable as JSON: {error}") from error


def _pair(file: Path, number: int, row: Any, name: str) -> Pair | Skipped:
    columns = ["chosen", "rejected"]
    if isinstance(row, dict) and "prompt" in row:
        columns.insert(0, "prompt")
    for column in columns:
        if not isinstance(row, dict) or not isinstance(row.get(column), str):
            raise DataError(f"{file}: row {number}: {column!r} is missing or is no text")
    if "prompt" in row:
        prompt, chosen, rejected = row["prompt"], row["chosen"], row["rejected"]
    else:
        cut = row["chosen"].rfind(_REPLY) + len(_REPLY)
        prompt = row["chosen"][:cut]
        if cut < len(_REPLY):
            return Skipped(number, "the chosen dialogue has no reply of the assistant", name)
        if cut != row["rejected"].rfind(_REPLY) + len(_REPLY) or row["rejected"][:cut] != prompt:
            return Skipped(number, "the dialogues differ before the last reply", name, prompt)
        chosen, rejected = row["chosen"][cut:], row["rejected"][cut:]
    for column, text in (("chosen", chosen), ("rejected", rejected)):
        if not text.strip():
            return Skipped(number, f"the {column} reply is empty", name, prompt)
    return Pair(number, prompt, chosen, rejected, name)
