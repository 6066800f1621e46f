"""Which process on which machine: an identity that outlives the reuse of a process number.

Host, boot and namespace tell where the number counts; the start time tells one holder of the number
from the next. Leaves out: the start time where there is no ``/proc`` (there the number alone is
asked, so that a reused one passes for its first holder).
"""

import contextlib
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
