"""A lock on a result: held by one process of all that see the file, gone when it ends.

The kernel keeps the lock (`flock`); the file's content says who holds it, for messages, and to
notice a file system that grants a lock twice. Leaves out: file systems that keep locks on one
machine and not between machines, which nothing on one machine can tell.
"""

import contextlib
import fcntl
import json
import os
import secrets
from pathlib import Path
from typing import Any

from whyfirst.config.process import alive, identity


class LockTakenError(Exception):
    """Another process holds the lock; the message says which."""


class Lock:
    """A held lock. A context manager; leaving it releases the lock.

    Raises:
        LockTakenError: another process holds it.
        OSError: the file can't be opened or locked.
    """

    def __init__(self, path: Path) -> None:
        # Never through a link: it could name a file of somebody else's, which would be overwritten.
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file = os.open(path, flags, 0o666)
        try:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise LockTakenError(describe(self._holder())) from None
            holder, me = self._holder(), identity()
            # Whoever ended without releasing it left its name here; one that lives was cheated.
            if holder and holder != me and alive(holder):
                raise LockTakenError(describe(holder))
            self._write(json.dumps(me).encode())
        except BaseException:
            os.close(self._file)
            raise

    def _holder(self) -> dict[str, Any]:
        with contextlib.suppress(ValueError):
            found = json.loads(os.pread(self._file, 4096, 0) or b"{}")
            return found if isinstance(found, dict) else {}
        return {}

    def _write(self, content: bytes) -> None:
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, content, 0)

    def __enter__(self) -> "Lock":
        return self

    def __exit__(self, *exc: object) -> None:
        # A full or read-only disk keeps the name, not the lock.
        with contextlib.suppress(OSError):
            self._write(b"")
        os.close(self._file)


def describe(holder: dict[str, Any]) -> str:
    """Who holds a lock, in words."""
    if not holder:
        return "another process"
    return f"process {holder.get('pid')} on {holder.get('host')}"


def kept_in(folder: Path) -> bool:
    """Whether the file system keeps locks: a second one on the same file must be refused.

    Raises:
        OSError: it grants none at all, or the folder can't be written.
    """
    path = folder / f".probe-{secrets.token_hex(8)}"
    try:
        with Lock(path):
            second = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            finally:
                os.close(second)
            return False
    finally:
        path.unlink(missing_ok=True)
