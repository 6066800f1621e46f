"""Files that are either wholly there or not there: atomic writes, canonical JSON, JSONL, hashes.

Writing fails with a `StoreError` and reading with a `DataError`; both name the path. A row's number
is its line in the file. What is read is bounded (`bounded`). Leaves out: locking (the executor's)
and every binary format.
"""

import errno
import fcntl
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NoReturn

from whyfirst.config.bounded import MOST_BYTES, open_file, parse_json, read_bytes, read_lines
from whyfirst.config.errors import DataError, StoreError, UserError

_REMEDIES = {
    errno.ENOSPC: "the disk is full; free some space and run the same command again",
    errno.EDQUOT: "the disk quota is used up; free some space and run the same command again",
    errno.EFBIG: "the file would exceed the size limit; raise it and run the same command again",
    errno.EROFS: "the file system is read-only; choose a writable folder",
    errno.EACCES: "no permission to write there; choose a writable folder",
    errno.EPERM: "no permission to write there; choose a writable folder",
}
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
_MOST_JSON = MOST_BYTES // 4  # as Python objects it takes up to ten times that
_MOST_ROWS = 10_000_000


def disk_refusal(error: BaseException) -> OSError | None:
    """The disk's own refusal (full, over quota, file too large, read-only) behind an error.

    Libraries wrap what the disk said in errors of their own, so the chain of causes counts, and
    the system's words in a text. None where the disk had no part in it.
    """
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, OSError) and link.errno in _DISK:
            return link
        # A message for people may quote anything; a library's error quotes the system.
        for number in () if isinstance(link, UserError) else _DISK:
            if os.strerror(number) in str(link):
                return OSError(number, os.strerror(number))
        # The disk's own words may lie several wrappers down.
        link = link.__cause__ or link.__context__
    return None


def atomic_write(path: Path, data: bytes | str) -> None:
    """Replace `path` with `data` (text as UTF-8) so that a reader sees the old file or the new one.

    Missing parent folders are made. The temporary file lies in the same folder (a rename is atomic
    only within a file system), is flushed to disk before it takes the name, and is removed on any
    failure; a symbolic link keeps pointing where it did.

    Raises:
        StoreError: full disk, read-only folder or any other refusal; the old content is intact.
    """
    with replacing(path) as handle:
        handle.write(data.encode("utf-8", "backslashreplace") if isinstance(data, str) else data)


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A new file to be written bit by bit, which takes the name `path` when the block ends well.

    Raises:
        StoreError: as `atomic_write`; the old file is intact after any failure.
    """
    try:
        target = Path(os.path.realpath(path))
        _make_folder(target.parent)
        descriptor, temporary = _open_temporary(target)
        with os.fdopen(descriptor, "wb") as new:
            try:
                yield new
                new.flush()
                os.fsync(new.fileno())
                # While it is held, or another writer could take it over under this name.
                temporary.replace(target)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
        sync(target.parent)
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL in it
        _refuse_write(path, error)


def _open_temporary(target: Path) -> tuple[int, Path]:
    """A new file beside `target`, open to be written: the one a killed write left, if there is.

    So kills leave at most one, which goes with the next write.
    """
    # The tail is cut so that a long but legal name still leaves room for the suffix.
    start = f".{target.name[:40]}"
    place = target.with_name(f"{start}.{hashlib.sha256(target.name.encode()).hexdigest()[:16]}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    with suppress(OSError):
        descriptor = os.open(place, flags, 0o666)
        try:
            # Held while it is written: a second writer of the same file takes a name of its own.
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held, there = os.fstat(descriptor), os.lstat(place)
            # Renamed in between, or put there by somebody else to be written through.
            mine = (held.st_ino, held.st_uid, held.st_nlink) == (there.st_ino, os.geteuid(), 1)
            if mine and stat.S_ISREG(held.st_mode):
                os.ftruncate(descriptor, 0)
                return descriptor, place
        except OSError:
            os.close(descriptor)
            raise
        os.close(descriptor)
    place = target.with_name(f"{start}.{secrets.token_hex(8)}.tmp")
    return os.open(place, flags | os.O_EXCL, 0o666), place


def _make_folder(folder: Path) -> None:
    """Make a folder and its parents, each of them on the disk by name before anything is in it."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    # Another process may make it in the same moment.
    folder.mkdir(exist_ok=True)
    sync(folder.parent)


def sync(path: Path) -> None:
    """Return once a file's content, or a folder's names, are on the disk (power loss)."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """`sync` every file and folder below `folder`, itself and its place in its parent last."""
    # From the bottom: a folder's names are worth nothing before what they name is there.
    for place, _, names in os.walk(folder, topdown=False):
        for name in names:
            sync(Path(place) / name)
        sync(Path(place))
    sync(folder.parent)


def _refuse_write(path: Path, error: OSError | ValueError) -> NoReturn:
    if isinstance(error, ValueError):
        raise StoreError(f"{str(path)!r}: can't be written: {error}") from error
    # The system's words first: whoever looks them up, or tells a full disk by them, finds them.
    reason = "; ".join(
        filter(None, (error.strerror or str(error), _REMEDIES.get(error.errno or 0)))
    )
    raise StoreError(f"{path}: can't be written: {reason}") from error


def write_json(path: Path, obj: Any, *, keep_order: bool = False) -> None:
    """Write `obj` as canonical JSON (sorted keys, indent 1, UTF-8, one newline at the end).

    `keep_order` leaves keys as they come, for objects whose order is part of what they say.

    Raises:
        ValueError: `obj` holds NaN or an infinity, which JSON can't say.
        StoreError: as `atomic_write`.
    """
    atomic_write(path, _dump(obj, indent=1, sort_keys=not keep_order) + "\n")


def read_json(path: Path, *, nan: bool = False) -> Any:
    """Read one JSON file.

    Args:
        nan: take NaN and infinities, as other tools write them.

    Raises:
        DataError: missing, unreadable, too large, not JSON, or holding NaN; names the file.
    """
    try:
        return parse_json(read_bytes(path, _MOST_JSON), nan=nan)
    except ValueError as error:
        raise DataError(f"{path}: not readable as JSON: {error}") from error


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> int:
    """Write `rows` atomically, one compact canonical JSON object a line; return how many.

    They are taken one after the other, in flat memory; what goes wrong in making them is raised as
    it is.
    """
    count = 0
    source: Exception | None = None

    def lines() -> Iterator[bytes]:
        nonlocal count, source
        try:
            for row in rows:
                count += 1
                yield (_dump(row) + "\n").encode("utf-8", "backslashreplace")
        except Exception as error:
            source = error
            raise

    try:
        with replacing(path) as handle:
            handle.writelines(lines())
    except StoreError:
        if source is not None:  # not the file's fault
            raise source from None
        raise
    return count


def read_jsonl(
    path: Path, *, allow_torn_tail: bool = False, nan: bool = False
) -> list[dict[str, Any]]:
    """Read a JSONL file; blank lines are no rows.

    Args:
        allow_torn_tail: ignore a last line without its newline, as a killed `append_jsonl` leaves.
        nan: take NaN and infinities, as other tools write them.

    Raises:
        DataError: the file is missing, or a row is not one JSON object; names file and row.
    """
    rows: list[dict[str, Any]] = []
    for _, row in iter_jsonl(path, allow_torn_tail=allow_torn_tail, nan=nan):
        rows.append(row)
        if len(rows) > _MOST_ROWS:
            raise DataError(f"{path}: over {_MOST_ROWS} rows; split it into several files")
    return rows


def iter_jsonl(
    path: Path, *, allow_torn_tail: bool = False, whole_characters: bool = False, nan: bool = False
) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, row) of a JSONL file one after the other, in flat memory; as `read_jsonl`.

    With `whole_characters` half a character (a lone surrogate) is refused: no tokenizer takes it.
    """
    for number, line in read_lines(path, whole_only=allow_torn_tail):
        row = parse_row(path, number, line, nan=nan)
        if whole_characters and b"\\u" in line:  # only an escape can say half a character
            refuse_half_characters(row, f"{path}: row {number}")
        yield number, row


def text_rows(path: Path, *texts: str, lists: Iterable[str] = ()) -> list[dict[str, Any]]:
    """The rows of a JSONL file, at least one, that each hold what is asked for.

    Args:
        texts: keys that hold a text.
        lists: keys that hold a list of texts.

    Raises:
        DataError: as `iter_jsonl`; no rows; or a row lacks one, names file, row and key.
    """
    rows = []
    for number, row in iter_jsonl(path):
        for key in texts:
            if not isinstance(row.get(key), str):
                raise DataError(f"{path}: row {number}: needs a text under {key!r}")
        for key in lists:
            held = row.get(key)
            if not isinstance(held, list) or not all(isinstance(one, str) for one in held):
                raise DataError(f"{path}: row {number}: needs a list of texts under {key!r}")
        rows.append(row)
    if not rows:
        raise DataError(f"{path}: holds no rows; give at least one")
    return rows


def parse_row(path: Path, number: int, line: bytes, *, nan: bool = False) -> dict[str, Any]:
    """The JSON object on one line.

    Raises:
        DataError: it is none; names file and row.
    """
    try:
        row = parse_json(line, nan=nan, unique=True)
    except ValueError as error:
        raise DataError(f"{path}: row {number}: not readable as JSON: {error}") from error
    if not isinstance(row, dict):
        raise DataError(f"{path}: row {number}: expected a JSON object, found {type(row).__name__}")
    return row


def refuse_half_characters(value: Any, where: str) -> None:
    """Refuse a JSON value with a lone surrogate in it: no character, and nothing can encode it.

    Raises:
        DataError: begins with `where`.
    """
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        half = f"\\u{ord(error.object[error.start]):04x}"
        raise DataError(
            f"{where}: not valid Unicode: {half} is a lone surrogate, half of a character (of an "
            "emoji cut in two, say); write the whole character, or drop the row"
        ) from error


def append_jsonl(path: Path, row: Mapping[str, Any]) -> None:
    """Add one row at the end and flush it to disk; for one writer at a time.

    What a killed earlier append left behind (a last line without its newline) is cut off first, or
    the new row would be glued to it.

    Raises:
        StoreError: as `atomic_write`; a row that did not fit is cut off again where possible.
    """
    payload = (_dump(row) + "\n").encode("utf-8", "backslashreplace")
    try:
        _make_folder(path.parent)
        # A new name has to reach the disk as well as what is in the file.
        new = not path.exists()
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        with os.fdopen(descriptor, "r+b", buffering=0) as handle:
            # Just after the last newline, searched backwards in blocks: a journal may be long.
            end = start = os.lseek(descriptor, 0, os.SEEK_END)
            while start > 0:
                start = max(0, end - 65536)
                found = os.pread(descriptor, end - start, start).rfind(b"\n")
                end = start + found + 1
                if found >= 0:
                    break
            handle.truncate(end)
            handle.seek(end)
            try:
                # A write may take less than it is given, on a full disk above all.
                view = memoryview(payload)
                while view:
                    view = view[handle.write(view) :]
                os.fsync(handle.fileno())
            except OSError:
                handle.truncate(end)
                raise
        if new:
            sync(path.parent)
    except (OSError, ValueError) as error:
        _refuse_write(path, error)


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, 64 hex digits.

    Raises:
        DataError: the file can't be read.
    """
    with open_file(path, packed=False) as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()  # type: ignore[arg-type]


def sha256_content(path: Path) -> str:
    """`sha256_file` of a file; of a folder, the hash over every file's name and hash in it.

    Raises:
        DataError: neither is there, or it can't be read.
    """
    if not path.is_dir():
        return sha256_file(path)
    # By name within the folder: where a folder lies must not change what it is.
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return sha256_json({str(file.relative_to(path)): sha256_file(file) for file in files})


def sha256_json(obj: Any) -> str:
    """SHA-256 of `obj` as compact canonical JSON, 64 hex digits; key order doesn't matter."""
    return hashlib.sha256(_dump(obj).encode("utf-8", "backslashreplace")).hexdigest()


def _dump(obj: Any, indent: int | None = None, sort_keys: bool = True) -> str:
    # A lone surrogate is left in the string here: "backslashreplace" then writes it as \udXXX,
    # which is exactly JSON's own escape, so it survives the round trip.
    # Stated, since fingerprints are of these very bytes.
    separators = (",", ": ") if indent is not None else (",", ":")
    return json.dumps(
        obj,
        sort_keys=sort_keys,
        indent=indent,
        separators=separators,
        ensure_ascii=False,
        allow_nan=False,
    )
