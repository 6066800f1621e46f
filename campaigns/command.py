"""`whyfirst study run` as a process to be harmed: started, found with all its children, compared.

The campaign adopts whatever its commands leave behind, so that no process is missed and none of
anybody else's is touched.
"""

import contextlib
import ctypes
import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import zygote

from whyfirst.report.schema import without_timings
from whyfirst.study.execute.store import Store
from whyfirst.study.execute.upkeep import studies

MARKER = "COMPLETE.json"
# How long it took, what it cost, and the rows of a JSONL file again with when they came.
_HISTORY = ("timing.json", "spent.jsonl", "explanations.parquet", "rules.parquet")
_TEMPORARY = re.compile(r"\..*\.tmp|\.discarded-.*")


class Command:
    """One `whyfirst study run`, in a session of its own and on one core.

    One core: threads are shared out by cores, and sums of other threads round otherwise.

    Args:
        real: as a user starts it; else forked, without its imports (`zygote`).
    """

    def __init__(self, file: Path, store: Path, out: Path, real: bool = True) -> None:
        out.parent.mkdir(parents=True, exist_ok=True)
        self.out, self.log = out, out.parent / f"{out.name}.{time.time_ns()}.txt"
        arguments = ["study", "run", str(file), "--store", str(store), "--out", str(out),
                     "--workers", "1", "--json"]  # fmt: skip
        self.process: subprocess.Popen[bytes] | zygote.Process
        if not real:
            self.process = zygote.start(arguments, file.parent, self.log)
            return
        core = random.SystemRandom().choice(sorted(os.sched_getaffinity(0)))
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "whyfirst", *arguments],
                cwd=file.parent, start_new_session=True, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1"},
                preexec_fn=lambda: os.sched_setaffinity(0, {core}),
            )  # fmt: skip

    @property
    def ended(self) -> bool:
        """Whether its own process has; its workers may still be on their way."""
        return self.process.poll() is not None

    def workers(self) -> list[int]:
        """Process numbers of its workers."""
        return children(self.process.pid)

    def cpu_seconds(self) -> float:
        """What it and its workers have computed, which says more than time on a busy machine."""
        ticks = 0
        for pid in (self.process.pid, *self.workers()):
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def wait(self, seconds: float) -> int | None:
        """Its exit code; None where it didn't end in time."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.process.wait(seconds)
        return None

    def said(self) -> str:
        """Everything it printed."""
        return self.log.read_text(errors="replace")


def children(parent: int) -> list[int]:
    """Direct children of a process."""
    found = []
    for place in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = place.read_text().rpartition(")")[2].split()
            if int(fields[1]) == parent and fields[0] != "Z":
                found.append(int(place.parent.name))
    return found


def adopt() -> None:
    """From now on, what a command leaves behind becomes a child of this process."""
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


def descendants(but: Sequence[int] = ()) -> list[int]:
    """Every living process that comes of this one."""
    found, layer = [], [os.getpid()]
    while layer:
        layer = [pid for parent in layer for pid in children(parent) if pid not in but]
        found += layer
    return found


def end_all(but: Sequence[int] = ()) -> None:
    """Kill what comes of this process, when a trial is over or is given up."""
    for pid in descendants(but):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def in_work(store: Path) -> list[tuple[str, str]]:
    """(kind, fingerprint) of the results that somebody's lock names; the dead's too."""
    found = []
    for path in (store / "locks").glob("*.lock"):
        with contextlib.suppress(OSError):
            if path.stat().st_size:
                fingerprint, kind, _ = path.name.split(".")
                found.append((kind, fingerprint))
    return found


def finished(store: Path) -> dict[str, str]:
    """Marker -> how long its result took, which no second computation would take again."""
    found = {}
    for path in store.glob(f"[!a.]*/*/{MARKER}"):
        with contextlib.suppress(OSError, json.JSONDecodeError):
            found[str(path.relative_to(store))] = str(json.loads(path.read_text())["run"])
    return found


def contents(store: Path, out: Path) -> dict[str, str]:
    """File -> hash, over all results and the report, without what tells of their making."""
    found = {}
    for marker in sorted(store.glob(f"[!a.]*/*/{MARKER}")):
        for path in sorted(p for p in marker.parent.rglob("*") if p.is_file()):
            name = str(path.relative_to(store))
            if path.name == MARKER:
                listed = sorted(json.loads(path.read_text())["files"])
                found[name] = _hash(json.dumps(listed).encode())
            elif path.name not in _HISTORY:
                found[name] = _hash(_timeless(path))
    for name in ("results.json", "items.json"):
        found[name] = _hash(_timeless(out / "report" / name))
    return found


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _timeless(path: Path) -> bytes:
    """A file's bytes, or its JSON without what says when, how long and at what price."""
    if path.name == "results.json":
        kept = without_timings(json.loads(path.read_text()))
        # A reply that was on its way when the command was killed is paid for twice.
        told = {name: v for name, v in kept.items() if name not in ("command", "spent")}
        return json.dumps(told).encode()
    if path.name == "machine.json":
        return json.dumps(_timeless_json(json.loads(path.read_text()))).encode()
    if path.parent.parent.name == "written" and path.suffix == ".jsonl":
        # Replies come in any order.
        rows = [_timeless_json(json.loads(line)) for line in path.read_text().splitlines()]
        return json.dumps(sorted(map(json.dumps, rows))).encode()
    return path.read_bytes()


def _timeless_json(value: Any) -> Any:
    if isinstance(value, dict):
        dropped = ("seconds", "created", "spent")
        return {name: _timeless_json(v) for name, v in value.items() if name not in dropped}
    return value


def left_over(store: Path, outs: Sequence[Path]) -> Iterator[str]:
    """What no finished study should leave: temporary files, unfinished results, held locks."""
    import fcntl

    for place in (store, *outs):
        for path in sorted(place.rglob("*")):
            if _TEMPORARY.fullmatch(path.name):
                yield f"temporary: {path.relative_to(place.parent)}"
    for path in sorted(store.glob("*/*/INCOMPLETE.json")):
        yield f"incomplete: {path.relative_to(store)}"
    for path in sorted((store / "locks").glob("*.lock")):
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield f"held lock: {path.name}"
    # A note that names a process that has ended says no more than that.
    yield from (f"noted as running: {use.name}" for use in studies(Store(store)) if use.running)
    if any((store / "aside").glob("*")):
        yield "something was put aside as damaged"
