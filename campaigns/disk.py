"""`disk.c` from Python: built once, loaded by starting this process again, armed before a trial.

Leaves out: which faults, and what must hold after them (`faults`, `power`).
"""

import ctypes
import errno
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CLASSES = {"open": 1, "create": 2, "read": 4, "write": 8, "sync": 16, "rename": 32}
_ALL = 2**62


def loaded(folder: Path) -> None:
    """Start this command again with the layer between it and the disk, unless it is there.

    Raises:
        SystemExit: there is no C compiler.
    """
    library = folder.absolute() / "disk.so"
    if str(library) in os.environ.get("LD_PRELOAD", ""):
        return
    folder.mkdir(parents=True, exist_ok=True)
    source = Path(__file__).with_name("disk.c")
    try:
        subprocess.run(
            ["cc", "-O1", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True
        )
    except FileNotFoundError:
        raise SystemExit("this campaign needs a C compiler (cc)") from None
    environment = {**os.environ, "LD_PRELOAD": str(library)}
    os.execve(sys.executable, [sys.executable, *sys.argv], environment)


def arm(
    below: Path,
    kind: str | None = None,
    first: int = 0,
    last: int | None = None,
    fault: str = "",
    record: int = -1,
) -> None:
    """Set the layer for this process and all that it forks.

    Args:
        below: the folder whose files count.
        kind: the class of calls that fail, counted by themselves.
        first, last: the calls that fail, from 1; 0: none; `last` None: only the first.
        fault: an error's name, or `short`.
        record: an open file that takes everything that changes the disk.
    """
    library = ctypes.CDLL(None)
    library.disk_arm.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_long, ctypes.c_long,
                                 ctypes.c_int, ctypes.c_int, ctypes.c_int]  # fmt: skip
    number = 0 if fault in ("", "short") else getattr(errno, fault)
    library.disk_arm(
        os.fsencode(below.absolute()), CLASSES[kind] if kind else 0,
        first or _ALL, last or first or _ALL, number, 7, record,
    )  # fmt: skip


def counts() -> dict[str, int]:
    """Calls of each class since it was armed."""
    library = ctypes.CDLL(None)
    library.disk_count.restype = ctypes.c_long
    return {name: int(library.disk_count(number)) for name, number in CLASSES.items()}


@dataclass(frozen=True)
class Change:
    """One recorded call that changed the disk, or made changes durable.

    Attributes:
        op: C created, T cut to `at`, W written at `at`, F flushed, R renamed to `other`, U removed,
            M folder made.
    """

    op: str
    path: str
    other: str
    at: int
    data: bytes


def changes(log: Path) -> Iterator[Change]:
    """What was recorded, in order, with the renames that passed by."""
    there: set[str] = set()
    for change in _recorded(log):
        if change.op in "FWT" and change.path not in there:
            # Rust's temporary files get their names from the kernel directly, past the C library:
            # what is flushed under a name that nobody made was renamed to it.
            beside = str(Path(change.path).parent / ".tmp")
            hidden = [n for n in there if n.startswith(beside) and len(n) == len(beside) + 6]
            if len(hidden) == 1:
                there = {*there - {hidden[0]}, change.path}
                yield Change("R", hidden[0], change.path, 0, b"")
        yield change
        if change.op in "CM":
            there.add(change.path)
        elif change.op == "U":
            there.discard(change.path)
        elif change.op == "R":
            old, new = change.path, change.other
            moved = {n for n in there if f"{n}/".startswith(f"{old}/")}
            there = (there - moved) | {new + n[len(old) :] for n in moved}


def _recorded(log: Path) -> Iterator[Change]:
    raw, place = log.read_bytes(), 0
    head = struct.Struct("=cIIqQ")
    while place < len(raw):
        op, a, b, at, size = head.unpack_from(raw, place)
        place += head.size
        path, other = raw[place : place + a], raw[place + a : place + a + b]
        place += a + b
        data = raw[place : place + size]
        yield Change(op.decode(), os.fsdecode(path), os.fsdecode(other), at, data)
        place += size
