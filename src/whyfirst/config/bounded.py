"""Bytes from outside as text, lines and JSON, within bounds that no honest file reaches.

A file may be hostile, or only broken: too large, a gzip that unpacks to a thousand times its size,
ten thousand brackets, a number of a million digits, a path with a NUL. All of it ends in one
`DataError` (or `ValueError`, where there is no file to name), soon and in bounded memory. The one
place that opens, unpacks and parses what this project did not write. Leaves out: writing
(`files`), YAML (`strict_yaml`), and unpacking zip, which other readers do: `check_zip` looks first.
"""

import gzip
import json
import math
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NoReturn

from whyfirst.config.errors import DataError

#: Of a file that is read whole, and of what a gzip unpacks to.
MOST_BYTES = 2**30
#: Bytes of one line of JSONL.
MOST_ROW = 2**26
#: Lists and objects inside each other: enough for data, and far from any library's own end.
MOST_DEPTH = 100
_BLOCK = 2**20
_MOST_ENTRIES = 100_000
_BOM = b"\xef\xbb\xbf"
_INTEGERS = 2**64
# A number that may be too large for a machine's own: only then is each one looked at in Python.
_SUSPECT = re.compile(rb"[0-9]{19}|[eE]\+?[0-9]{3}")


def parse_json(data: bytes | str, *, nan: bool = False, unique: bool = False) -> Any:
    """One JSON value.

    Args:
        nan: take NaN and infinities, which are not JSON, as other tools write them.
        unique: refuse a key that stands twice in one object; JSON's readers keep the last one, and
            whoever wrote the row may have meant the other.

    Raises:
        ValueError: not UTF-8, not JSON, nested over `MOST_DEPTH` deep, or a number that no
            machine number holds; says which.
    """
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    # Python's reader takes NaN and any number of digits unless it is told otherwise.
    hooks: dict[str, Any] = {} if nan else {"parse_constant": _no_constant}
    if _SUSPECT.search(raw):
        # Only where something looks suspicious: a hook for each number makes reading several times
        # slower.
        hooks["parse_int"] = _integer
        if not nan:
            hooks["parse_float"] = _finite
    if unique:
        hooks["object_pairs_hook"] = _unique
    try:
        value = json.loads(data if isinstance(data, str) else decode(data), **hooks)
    except RecursionError:
        raise ValueError(f"nested more than {MOST_DEPTH} deep") from None
    # Few brackets can't be deep, and counting them costs next to nothing.
    if raw.count(b"[") + raw.count(b"{") > MOST_DEPTH and _depth(value) > MOST_DEPTH:
        raise ValueError(f"nested more than {MOST_DEPTH} deep")
    return value


def decode(data: bytes) -> str:
    """UTF-8 as text, without a byte order mark.

    Raises:
        ValueError: other bytes; says where, and what to do.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        byte = f"byte {error.start} is 0x{data[error.start]:02x}"
        # Spreadsheets save UTF-16 as "Unicode text"; the offset of a byte would help nobody.
        wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")
        found = "UTF-16" if wide else byte
        raise ValueError(f"not UTF-8 text ({found}); save it as UTF-8") from None


def check_zip(path: Path, most: int = MOST_BYTES) -> None:
    """Refuse a zip that another library is about to unpack, if it would be too much.

    Raises:
        DataError: not a zip, more than 100,000 files in it, or over `most` bytes unpacked.
    """
    try:
        with zipfile.ZipFile(path) as packed:
            # The directory's claim; the library that unpacks checks each entry against it.
            sizes = [entry.file_size for entry in packed.infolist()]
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise DataError(f"{path}: can't be read as a zip ({error})") from error
    if len(sizes) > _MOST_ENTRIES or sum(sizes) > most:
        raise DataError(
            f"{path}: unpacks to {sum(sizes) >> 20} MiB in {len(sizes)} files; at most "
            f"{most >> 20} MiB in {_MOST_ENTRIES} are read"
        )


def _depth(value: Any) -> int:
    """How many lists and objects are inside each other at most, without recursion."""
    # Layer by layer: what asks how deep a value is must not fall over its depth.
    depth, layer = 0, [value]
    while layer := [v for v in layer if isinstance(v, dict | list)]:
        depth += 1
        layer = [v for c in layer for v in (c.values() if isinstance(c, dict) else c)]
    return depth


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r:.60} stands twice")
    return made


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _integer(text: str) -> int:
    # The length first: turning a million digits into a number takes minutes.
    if len(text) > 21 or not -_INTEGERS < (number := int(text)) < _INTEGERS:
        raise ValueError(f"a whole number of {len(text)} digits is too large")
    return number


def _finite(text: str) -> float:
    # Python reads 1e999 as infinity without a word.
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:20]} is too large")
    return number


@contextmanager
def open_file(path: Path, *, packed: bool | None = None) -> Iterator[IO[bytes]]:
    """A plain file's bytes, unpacked as they are read.

    Args:
        packed: whether to unpack them; None does where the file is named ``.gz``.

    Raises:
        DataError: missing, no plain file (a pipe would be waited for without end), unreadable, or
            a gzip that is torn; also while it is read.
    """
    try:
        # Without waiting for somebody to write into a pipe, so that it can be refused.
        opener = lambda name, flags: os.open(name, flags | os.O_NONBLOCK)  # noqa: E731
        with open(path, "rb", opener=opener) as handle:
            # Of the open file and not of its name, which may be another file by now.
            if not stat.S_ISREG(os.fstat(handle.fileno()).st_mode):
                raise DataError(f"{path}: can't be read: it is no plain file; save it as one")
            if path.name.endswith(".gz") if packed is None else packed:
                with gzip.GzipFile(fileobj=handle) as unpacked:
                    yield unpacked  # type: ignore[misc]  # IO[bytes] in all but name
            else:
                yield handle
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: can't be read: {reason}") from error
    except ValueError as error:  # of a path with a NUL in it, or half a character
        raise DataError(f"{str(path)!r}: can't be read: {error}") from error


def read_bytes(path: Path, most: int = MOST_BYTES) -> bytes:
    """A whole file, unpacked if it is named ``.gz``.

    Raises:
        DataError: as `open_file`, or more than `most` bytes.
    """
    data = bytearray()
    with open_file(path) as handle:
        # In blocks: one read of the most there may be would ask for all that memory first.
        while len(data) <= most and (block := handle.read(_BLOCK)):
            data += block
    if len(data) > most:
        raise DataError(f"{path}: more than {most / 2**20:g} MiB; too large to be read at once")
    return bytes(data)


def read_text(path: Path, most: int = MOST_BYTES) -> str:
    """A whole file as UTF-8, without a byte order mark.

    Raises:
        DataError: as `read_bytes`, or other bytes.
    """
    data = read_bytes(path, most)
    try:
        return decode(data)
    except ValueError as error:
        raise DataError(f"{path}: {error}") from error


def read_lines(path: Path, *, whole_only: bool = False) -> Iterator[tuple[int, bytes]]:
    """(line number from 1, bytes) of every line that is not blank, in flat memory.

    Cut at the newline byte only: `str.splitlines` would also cut at U+2028 inside a text.

    Args:
        whole_only: leave out a last line that has no newline.

    Raises:
        DataError: as `open_file`; a line of over `MOST_ROW` bytes, or a gzip that unpacks to over
            `MOST_BYTES`.
    """
    number, total, rest = 0, 0, b""
    packed = path.name.endswith(".gz")
    with open_file(path) as handle:
        while block := handle.read(_BLOCK):
            if total == 0:
                block = block.removeprefix(_BOM)
            total += len(block)
            if packed and total > MOST_BYTES:
                raise DataError(f"{path}: unpacks to over {MOST_BYTES >> 20} MiB; unpack it first")
            if not rest and not block.strip():  # a desert of blank lines is crossed in one step
                number += block.count(b"\n")
                rest = block[block.rfind(b"\n") + 1 :]
                continue
            # The last piece may go on in the next block.
            *lines, rest = (rest + block).split(b"\n")
            if len(rest) > MOST_ROW:
                raise DataError(f"{path}: row {number + len(lines) + 1}: over {MOST_ROW >> 20} MiB")
            for line in lines:
                number += 1
                if line.strip():
                    yield number, line
    if rest.strip() and not whole_only:
        yield number + 1, rest
