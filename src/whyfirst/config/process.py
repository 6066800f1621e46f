"""Which process on which machine, and a lock that one process of all that see a file holds.

An identity outlives the reuse of a process number: host, boot and namespace tell where the number
counts, the start time tells one holder of it from the next. The kernel keeps a lock (`flock`); the
file's content says who holds it, for messages, and to notice a file system that grants a lock
twice. Leaves out: the start time where there is no ``/proc`` (there the number alone is asked, so
that a reused one passes for its first holder), and file systems that keep locks on one machine and
not between machines, which nothing on one machine can tell.
"""

import contextlib
import fcntl
import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def identity(pid: int | None = None) -> dict[str, Any]:
    """JSON object that tells a process (this one by default) from every other, before and after."""
    number = os.getpid() if pid is None else pid
    return _here() | {"pid": number, "started": _state(number)[1]}


def alive(who: Mapping[str, Any]) -> bool | None:
    """Whether the process that `identity` described still runs; None where it can't be told here.

    A zombie, which nobody has reaped yet, runs no more.
    """
    here, number = _here(), who.get("pid")
    if who.get("host") != here["host"] or not isinstance(number, int):
        return None
    if who.get("boot") != here["boot"]:
        return False  # the machine was started anew since
    if who.get("namespace") != here["namespace"]:
        return None  # a container's numbers mean nothing outside it
    state, started = _state(number)
    if started is not None:
        return state != "Z" and started == who.get("started")
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(number, 0)  # asks whether it is there
        # Where there is a /proc and none of this process, it has just ended.
        return not Path("/proc/self/stat").exists()
    return False


def _here() -> dict[str, Any]:
    boot = namespace = None
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        namespace = str(Path("/proc/self/ns/pid").readlink())
    return {"host": socket.gethostname(), "boot": boot, "namespace": namespace}


def _state(pid: int) -> tuple[str, int | None]:
    """A process' state letter and start (clock ticks since the boot); None where unknown."""
    try:
        # A program's name stands in brackets before the fields and may hold anything, spaces too.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return fields[0], int(fields[19])
    except (OSError, IndexError, ValueError):
        return "", None


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
    # One name for all who look: with a name of its own each, every kill here would leave a file.
    path = folder / ".probe"
    first = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        second = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            # Refused to either, whoever holds it: then locks are kept.
            for descriptor in (first, second):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(second)
        return False
    finally:
        os.close(first)
