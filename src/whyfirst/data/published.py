"""Reading published files: which file of a folder is meant, and text, CSV and JSON out of it.

Every failure names the file, the row and the remedy; a file that looks like another benchmark's
says whose. Leaves out: what the columns mean (the readers), and writing.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from whyfirst.config import bounded
from whyfirst.config.errors import DataError
from whyfirst.config.files import refuse_half_characters
from whyfirst.config.suggest import did_you_mean

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
        before = data[: error.start].decode("utf-8-sig")
        row = len(list(csv.reader(io.StringIO(before + "x", newline="")))) if _is_csv(file) else (
            before.count("\n") + 1
        )  # fmt: skip
        raise DataError(
            f"{file}: row {row}: not UTF-8 text (byte 0x{data[error.start]:02x}); "
            "save the file as UTF-8"
        ) from error


def _is_csv(file: Path) -> bool:
    return file.name.removesuffix(".gz").endswith(".csv")


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
    rows: list[tuple[int, dict[str, str]]] = []
    try:
        refuse_columns(file, reader.fieldnames or [], required, benchmark)
        for number, row in enumerate(reader, start=2):
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
        raise DataError(
            f"{file}: row 1: column {missing[0]!r} is missing{did_you_mean(missing[0], unused)} "
            f"(found: {_shown(found)}){other_benchmark(file, benchmark)}"
        )


def _shown(columns: Sequence[str]) -> str:
    names = [repr(column[:40]) for column in columns[:12]]
    return ", ".join([*names, "..."] if len(columns) > 12 else names) or "none"


def field(file: Path, number: int, row: Mapping[str, Any], name: str) -> str:
    """One text of a record, without white space round it.

    Raises:
        DataError: it is missing, empty or no text.
    """
    value = row.get(name)
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{file}: row {number}: {name!r} is empty or missing")
    return value.strip()


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
    if "\\u" in text:
        refuse_half_characters(value, str(file))
    return value


def json_lines(file: Path) -> Iterator[tuple[int, Any]]:
    """(line number from 1, value) of every line that is not blank.

    Raises:
        DataError: the file can't be read, or a line is no JSON or holds half a character.
    """
    for number, line in bounded.read_lines(file):
        try:
            value = bounded.parse_json(line)
        except ValueError as error:
            raise DataError(f"{file}: row {number}: not readable as JSON: {error}") from error
        if b"\\u" in line:
            refuse_half_characters(value, f"{file}: row {number}")
        yield number, value


def found_files(folder: Path, patterns: Iterable[str]) -> list[Path]:
    """Every file at any depth whose path ends like one of the glob patterns, sorted."""
    return sorted({f for pattern in patterns for f in folder.rglob(pattern) if f.is_file()})


def one_file(path: Path, patterns: Sequence[str], benchmark: str) -> Path:
    """`path` itself if it is a file, else the one file in it with a published name.

    Patterns are tried in order; the first that names any file decides.

    Raises:
        DataError: nothing there, no file of these names, or several of them.
    """
    if path.is_file():
        return path
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    for pattern in patterns:
        files = found_files(path, [pattern])
        if len(files) > 1:
            names = ", ".join(str(file.relative_to(path)) for file in files[:5])
            raise DataError(
                f"{path}: several files could be the data of {benchmark!r} ({names}"
                f"{', ...' if len(files) > 5 else ''}); give one of them"
            )
        if files:
            return files[0]
    raise nothing_found(path, patterns, benchmark)


def nothing_found(path: Path, patterns: Sequence[str], benchmark: str) -> DataError:
    """The error for a folder without any of the published names."""
    return DataError(
        f"{path}: holds no data of {benchmark!r} (looked for {', '.join(patterns)} at any depth)"
    )


def looks_like(file: Path) -> str | None:
    """Whose data a file holds, by its columns or keys; None where that can't be told."""
    try:
        names = _names(file)
    except (DataError, ValueError, csv.Error):
        return None
    return next((name for name, signature in _SIGNATURES if signature <= names), None)


def _names(file: Path) -> set[str]:
    text = read_text(file)
    if text.lstrip()[:1] not in ("{", "["):
        return set(next(csv.reader(io.StringIO(text, newline="")), []))
    try:
        value = bounded.parse_json(text)
    except ValueError:
        value = bounded.parse_json(next(line for line in text.split("\n") if line.strip()))
    if isinstance(value, dict) and isinstance(value.get("examples"), list) and value["examples"]:
        value = value["examples"][0]
    return set(value) if isinstance(value, dict) else set()


def other_benchmark(file: Path, benchmark: str) -> str:
    """``"; it looks like data of benchmark 'x'"`` where it does and `benchmark` is another."""
    other = looks_like(file)
    return f"; it looks like data of benchmark {other!r}" if other not in (None, benchmark) else ""
