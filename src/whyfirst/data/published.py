"""Reading published files: which file of a folder is meant, and text, CSV and JSON out of it.

Every failure names the file, the row and the remedy; a file that looks like another benchmark's
says whose. Leaves out: what the columns mean (the readers), and writing.
"""

import csv
import io
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from whyfirst.config import bounded
from whyfirst.config.errors import DataError, did_you_mean
from whyfirst.config.files import refuse_half_characters

T = TypeVar("T")

# Columns or keys that only this benchmark's data have, the most particular first.
_SIGNATURES: tuple[tuple[str, frozenset[str]], ...] = (
    ("truthfulqa", frozenset({"Question", "Best Answer", "Incorrect Answers"})),
    ("hhh", frozenset({"text_correct", "text_incorrect"})),
    ("hhh", frozenset({"input", "target_scores"})),
    ("hhh", frozenset({"input", "targets"})),
    ("preference", frozenset({"chosen", "rejected"})),
    ("jailbreak", frozenset({"goal", "target"})),
    ("jailbreak", frozenset({"Behavior", "BehaviorID"})),
    ("jailbreak", frozenset({"Goal", "Behavior", "Category"})),
    ("jailbreak", frozenset({"forbidden_prompt"})),
    ("jailbreak", frozenset({"jail_id", "jail_prompt"})),
    ("xstest", frozenset({"type", "prompt"})),
    ("jailbreak", frozenset({"name", "prompt"})),
    ("multilingual", frozenset({"input", "target", "id"})),
)


def read_text(file: Path) -> str:
    """The file as UTF-8, unpacked if it is named ``.gz``, without a byte order mark.

    Raises:
        DataError: missing, unreadable, a torn archive, or bytes that are no UTF-8 (with their row).
    """
    data = bounded.read_bytes(file)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # Up to the first bad byte all is text, so the records before it can be counted.
        before = data[: error.start].decode("utf-8-sig")
        row = before.count("\n") + 1
        if file.name.removesuffix(".gz").endswith(".csv"):
            # A quoted field may have lines of its own, so a line's number is not its record's.
            row = len(list(csv.reader(io.StringIO(before + "x", newline=""))))
        raise DataError(
            f"{file}: row {row}: not UTF-8 text (byte 0x{data[error.start]:02x}); "
            "save the file as UTF-8"
        ) from error


def csv_rows(
    file: Path, required: Sequence[str], benchmark: str, what: str = "row"
) -> list[tuple[int, dict[str, str]]]:
    """(record number, fields) of every record, the header being record 1.

    A field that a short record lacks is an empty string; `field` refuses it where it is needed.

    Raises:
        DataError: as `read_text`; a column is missing, a record is malformed or too long, or there
            are no records.
    """
    text = read_text(file)
    if not text.strip():
        raise DataError(f"{file}: the file is empty")
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    # Whole and not one after the other: readers ask for the columns before any row.
    rows: list[tuple[int, dict[str, str]]] = []
    try:
        refuse_columns(file, reader.fieldnames or [], required, benchmark)
        for number, row in enumerate(reader, start=2):
            # What has no column, DictReader keeps under None.
            if None in row:
                raise DataError(f"{file}: row {number}: more fields than the header has columns")
            rows.append((number, {name: value or "" for name, value in row.items()}))
    except csv.Error as error:
        at = len(rows) + 2
        raise DataError(f"{file}: row {at}: not readable as CSV: {error}") from error
    if not rows:
        raise DataError(f"{file}: holds no {what}")
    return rows


def refuse_columns(
    file: Path, found: Sequence[str], required: Sequence[str], benchmark: str
) -> None:
    """Raise DataError for the first of the required columns that is not there."""
    missing = [column for column in required if column not in found]
    if missing:
        unused = [column for column in found if column and column not in required]
        shown = [repr(column[:40]) for column in found[:12]] + ["..."] * (len(found) > 12)
        raise DataError(
            f"{file}: row 1: column {missing[0]!r} is missing{did_you_mean(missing[0], unused)} "
            f"(found: {', '.join(shown) or 'none'}){other_benchmark(file, benchmark)}"
        )


def field(file: Path, number: int, row: Mapping[str, Any], name: str) -> str:
    """One text of a record, without white space round it.

    Raises:
        DataError: it is missing, empty or no text.
    """
    value = row.get(name)
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{file}: row {number}: {name!r} is empty or missing")
    return value.strip()


def number(
    place: object,
    row: Mapping[str, Any],
    name: str,
    default: float | None = None,
    low: float = -1e9,
    high: float = 1e9,
) -> float:
    """One number of a record, within bounds.

    Args:
        place: where the record is, in words.
        default: where it has none; None where it must.

    Raises:
        DataError: it is missing, no number, or outside.
    """
    value = row.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise DataError(f"{place}: {name!r} must be a number from {low:g} to {high:g}")
    return float(value)


def shares_in(place: object, given: Mapping[str, Any]) -> list[float]:
    """People's shares of some choices: numbers from 0 to 1 that sum to 1.

    Raises:
        DataError: anything else, as percentages are.
    """
    shares = [number(place, given, name, low=0, high=1) for name in given]
    if not math.isclose(sum(shares), 1, abs_tol=1e-3):
        raise DataError(f"{place} are no shares of people that sum to 1")
    return shares


def json_value(file: Path) -> Any:
    """The file's one JSON value.

    Raises:
        DataError: as `read_text`, an empty file, text that is no JSON, or half a character in it.
    """
    text = read_text(file)
    if not text.strip():
        raise DataError(f"{file}: the file is empty")
    try:
        value = bounded.parse_json(text)
    except ValueError as error:
        raise DataError(f"{file}: not readable as JSON: {error}") from error
    # Half a character can only come out of an escape, and looking for one walks through the value.
    if "\\u" in text:
        refuse_half_characters(value, str(file))
    return value


def json_lines(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number from 1, object) of every line that is not blank.

    Raises:
        DataError: the file can't be read, or a line is no JSON object or holds half a character.
    """
    for number, line in bounded.read_lines(file):
        try:
            value = bounded.parse_json(line)
        except ValueError as error:
            raise DataError(f"{file}: row {number}: not readable as JSON: {error}") from error
        if b"\\u" in line:
            refuse_half_characters(value, f"{file}: row {number}")
        if not isinstance(value, dict):
            raise DataError(f"{file}: row {number}: not an object")
        yield number, value


def examples(file: Path, benchmark: str, what: str) -> list[tuple[int, dict[str, Any]]]:
    """(number from 1, fields) of what a file holds under ``examples``, or of the lines of a .jsonl.

    Raises:
        DataError: as `json_value`; there is no such list, it is empty, or holds anything but
            objects.
    """
    if file.name.endswith(".jsonl"):
        rows = list(json_lines(file))
    else:
        value = json_value(file)
        if not isinstance(value, dict) or not isinstance(value.get("examples"), list):
            raise DataError(f"{file}: 'examples' is missing{other_benchmark(file, benchmark)}")
        rows = list(enumerate(value["examples"], start=1))
    if not rows:
        raise DataError(f"{file}: holds no {what}")
    for number, row in rows:
        if not isinstance(row, dict):
            raise DataError(f"{file}: row {number}: expected an object")
    return rows


def found_files(folder: Path, patterns: Iterable[str]) -> list[Path]:
    """Every file at any depth whose path ends like one of the glob patterns, sorted."""
    return sorted({f for pattern in patterns for f in folder.rglob(pattern) if f.is_file()})


def files_of(path: Path, patterns: Sequence[str], benchmark: str) -> list[Path]:
    """`path` itself if it is a file, else every file in it with a published name.

    Raises:
        DataError: nothing there, or no file of these names.
    """
    if path.is_file():
        return [path]
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    files = found_files(path, patterns)
    if not files:
        names = ", ".join(patterns)
        raise DataError(f"{path}: holds no data of {benchmark!r} (looked for {names} at any depth)")
    return files


def one_file(path: Path, patterns: Sequence[str], benchmark: str) -> Path:
    """`path` itself if it is a file, else the one file in it with a published name.

    Patterns are tried in order; the first that names any file decides.

    Raises:
        DataError: as `files_of`, or several of them.
    """
    # The names a data set is published under come first in a list, loose copies after them.
    matches = [files for pattern in patterns if (files := found_files(path, [pattern]))]
    files = matches[0] if matches else files_of(path, patterns, benchmark)
    if len(files) > 1:
        names = ", ".join(str(file.relative_to(path)) for file in files[:5])
        raise DataError(
            f"{path}: several files could be the data of {benchmark!r} ({names}"
            f"{', ...' if len(files) > 5 else ''}); give one of them"
        )
    return files[0]


def by_name(folder: Path, files: Iterable[Path], name: Callable[[Path], T]) -> dict[T, Path]:
    """Files by what they are called there, in their order.

    Raises:
        DataError: two are called the same.
    """
    # Which of two copies is meant nobody can say, and reading both would count every row twice.
    named: dict[T, Path] = {}
    for file in files:
        if (other := named.setdefault(name(file), file)) != file:
            raise DataError(f"{folder}: holds {name(file)} twice ({other}, {file}); give one")
    return named


def distinct(rows: Iterable[tuple[Path, int, str, T]]) -> list[T]:
    """Rows given as (file, record number, what tells the row from others, row).

    Raises:
        DataError: two that nothing tells apart, in one file or in two.
    """
    first: dict[str, Path] = {}
    found = []
    for file, number, key, row in rows:
        if key in first:
            other = os.path.relpath(first[key], file.parent)
            where = "there twice" if first[key] == file else f"also in {other}; give one of the two"
            raise DataError(f"{file}: row {number}: {key} is {where}")
        first[key] = file
        found.append(row)
    return found


def looks_like(file: Path) -> str | None:
    """Whose data a file holds, by its columns or keys; None where that can't be told."""
    try:
        text = read_text(file)
        names = set()
        # A CSV's header begins with neither.
        if text.lstrip()[:1] not in ("{", "["):
            names = set(next(csv.reader(io.StringIO(text, newline="")), []))
        else:
            try:
                value = bounded.parse_json(text)
            except ValueError:  # JSON Lines: the first of them tells
                value = bounded.parse_json(next(line for line in text.split("\n") if line.strip()))
            inner = value.get("examples") if isinstance(value, dict) else None
            value = inner[0] if isinstance(inner, list) and inner else value
            names = set(value) if isinstance(value, dict) else set()
    except (DataError, ValueError, csv.Error):
        return None
    return next((name for name, signature in _SIGNATURES if signature <= names), None)


def other_benchmark(file: Path, benchmark: str) -> str:
    """``"; it looks like data of benchmark 'x'"`` where it does and `benchmark` is another."""
    other = looks_like(file)
    return f"; it looks like data of benchmark {other!r}" if other not in (None, benchmark) else ""
