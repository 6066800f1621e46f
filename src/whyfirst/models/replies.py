"""Replies of an endpoint, kept as they arrive, so that nothing is asked or paid for twice.

One JSON object a line under a hash of what was asked, flushed to disk before the next reply is
taken; several processes may share a file. A line that a killed process left unfinished is no reply
and is cut off by the next write. Leaves out: what the hash covers (`endpoint`). No prompt, header
or key is ever given to it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

from whyfirst.config.errors import StoreError
from whyfirst.config.files import append_jsonl, read_jsonl


class ReplyStore:
    """A file of replies, or with no path, replies of this process only.

    Raises:
        DataError: a row in the file is not one JSON object; names file and row.
        StoreError: the file can't be written.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._rows: dict[str, Mapping[str, Any]] = {}
        self._size = 0  # of the file when it was last read or written here
        self._stale = False
        self.refresh()

    def refresh(self) -> None:
        """Take in what other processes have written since."""
        if self._path is None or not self._path.exists():
            return
        size = self._path.stat().st_size
        # A file only grows: one of the same size has nothing new.
        if self._stale or size != self._size:
            rows = read_jsonl(self._path, allow_torn_tail=True)
            # The last row under a key is the newest.
            self._rows |= {str(row.get("key")): row for row in rows}
            self._size, self._stale = size, False

    def get(self, key: str) -> Mapping[str, Any] | None:
        """The reply kept under `key`, if any."""
        return self._rows.get(key)

    def put(self, key: str, **reply: Any) -> None:
        """Keep a reply; it is on the disk when this returns."""
        row = {"key": key, **reply}
        self._rows[key] = row
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(self._path.with_name(self._path.name + ".lock")):
                before = self._path.stat().st_size if self._path.exists() else 0
                # Somebody else wrote in between: their rows are read at the next refresh.
                self._stale |= before != self._size
                append_jsonl(self._path, row)
                self._size = self._path.stat().st_size
        except OSError as error:
            raise StoreError(
                f"{self._path}: can't be written: {error.strerror or error}"
            ) from error
