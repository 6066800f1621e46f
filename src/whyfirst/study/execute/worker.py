"""A worker process: takes nodes one by one, holds the node's lock, runs it, completes the result.

It speaks JSON lines: commands on standard input, replies on what was standard output (the process's
own output goes to log files, so nothing a library prints can be taken for a reply). End of input
means that the executor is gone: the worker then dies at once, in the middle of its work, which any
later run continues. Leaves out: choosing nodes and retrying them (`executor`).
"""

import contextlib
import faulthandler
import importlib
import json
import os
import queue
import resource
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, Protocol

from whyfirst.config import plugins
from whyfirst.config.errors import DataError, StoreError, UserError
from whyfirst.config.files import sha256_content
from whyfirst.study.execute.graph import Node
from whyfirst.study.execute.marker import stamp
from whyfirst.study.execute.store import Incomplete, Store

# Step, total (0: unknown), message.
Progress = Callable[[int, int, str], None]
# Computes a node: node, folder of each dependency by id, own folder, progress.
#
# What it gives back says that something is still to be done, for a reason that passes: it is called
# again, by the next run, with the folder as it left it.
Runner = Callable[[Node, Mapping[str, Path], Path, Progress], Incomplete | None]

PROGRESS_INTERVAL_S = 0.1


class Replies(Protocol):
    """The line to the executor.

    Attributes:
        interval_s: least seconds between two reports of progress.
    """

    interval_s: float

    def send(self, **reply: Any) -> None:
        """Say how far a node is."""


class _Lines:
    """Replies as JSON objects, one a line."""

    interval_s = PROGRESS_INTERVAL_S

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def send(self, **reply: Any) -> None:
        self._stream.write(json.dumps(reply) + "\n")
        self._stream.flush()


def main() -> None:
    """Serve commands until the input ends. Started by the executor only."""
    # The two pipes move out of the way of whatever reads or prints in this process.
    commands = os.fdopen(os.dup(0), "r", encoding="utf-8")
    replies = _Lines(os.fdopen(os.dup(1), "w", encoding="utf-8"))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    faulthandler.enable()
    inbox: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(commands, inbox), daemon=True).start()
    setup = inbox.get()
    try:
        store = Store(Path(setup["store"]))
    except UserError as error:
        replies.send(type="refused", reason=str(error))
        sys.exit(2)
    replies.send(type="ready")
    while True:
        command = inbox.get()
        inputs = {name: Path(folder) for name, folder in command["inputs"].items()}
        serve(store, Node.from_json(command["node"]), inputs, setup["runner"], replies)


def _listen(commands: IO[str], inbox: "queue.SimpleQueue[dict[str, Any]]") -> None:
    for line in commands:
        inbox.put(json.loads(line))
    # Children of this process share its group, which the executor gave it for that purpose. (The
    # kernel's parent-death signal would be quicker, but would leave the children running.)
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)


def serve(
    store: Store,
    node: Node,
    inputs: Mapping[str, Path],
    runner: str,
    replies: Replies,
    *,
    lock: bool = True,
) -> None:
    """Compute one node unless it is complete or locked, and reply how that went.

    Args:
        lock: hold the node's lock; off where the executor holds it.
    """
    with contextlib.ExitStack() as held:
        try:
            vain = store.hold(*node.key, held) if lock else ""
        except StoreError as error:
            replies.send(type="store", message=str(error))
            return
        if vain:
            replies.send(type=vain)
        else:
            replies.send(**_compute(store, node, inputs, runner, replies))


def _compute(
    store: Store, node: Node, inputs: Mapping[str, Path], runner: str, replies: Replies
) -> dict[str, Any]:
    """Run the node and complete its result; the reply that says how it ended."""
    log = store.log_path(*node.key)
    try:
        for name, place in inputs.items():
            damage = store.check(place.parent.name, place.name)
            if damage:
                return {"type": "damaged", "input": name, "message": damage}
        _refuse_changed(node.reads)
        damage = store.damage(*node.key)
        folder = store.prepare(*node.key)
        replies.send(type="started", message=damage and f"again, as it was damaged: {damage}")
        begin = time.perf_counter()
        # Linux keeps one high-water mark per process; 5 sets it back to the present size.
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
        with _output_to(log):
            try:
                plugins.load_all()
                # The runner's heavy imports are paid once per process.
                module, _, function = runner.partition(":")
                run: Runner = getattr(importlib.import_module(module), function)
                left = run(node, inputs, folder, _throttled(replies))
            except BaseException as error:
                if not isinstance(error, UserError):
                    traceback.print_exc()
                raise
        took = {
            "seconds": round(time.perf_counter() - begin, 3),
            "peak_memory_mb": round(_peak_memory_mb(), 1),
        }
        if left is not None:
            store.leave(*node.key, left)
            return {"type": "incomplete", **asdict(left)}
        read = {name: place.name for name, place in inputs.items()}
        about = {"id": node.id, "inputs": read, "payload": node.payload}
        store.finish(*node.key, {**about, "run": took})
        return {"type": "finished", **took}
    except BaseException as error:
        # Whatever a plug-in raises, SystemExit and KeyboardInterrupt too: the node failed, and the
        # worker goes on. Who interrupts it from outside (the pool) ends it as soon as this is said.
        refused = store.storage_failure(error)
        if refused is not None:
            return {"type": "store", "message": str(refused)}
        if isinstance(error, UserError):
            return {"type": "failed", "message": str(error)}
        summary = f"{type(error).__name__}: {error}"[:2000]
        return {"type": "failed", "message": f"{summary} (traceback: {log})"}


# Path -> sizes, times and inodes of all its files when it was hashed, and the hash.
_hashed: dict[str, tuple[list[list[int]], str]] = {}


def _refuse_changed(reads: Mapping[str, str]) -> None:
    """Refuse files that are no longer what the plan, and so the fingerprint, says of them.

    Raises:
        DataError: names the file.
    """
    for name, planned in reads.items():
        path = Path(name)
        try:
            files = sorted(path.rglob("*")) if path.is_dir() else [path]
            stamps = [stamp(file.stat()) for file in files]
        except OSError as error:
            raise DataError(f"{path}: can't be read: {error.strerror}") from error
        if name not in _hashed or _hashed[name][0] != stamps:
            _hashed[name] = stamps, sha256_content(path)
        if _hashed[name][1] != planned:
            raise DataError(
                f"{path}: its content has changed since the study was planned, so the result would "
                "be kept under a name it doesn't have; run the same command again"
            )


def _throttled(replies: Replies) -> Progress:
    last = [0.0]

    def progress(step: int, total: int, message: str = "") -> None:
        now = time.monotonic()
        if step == total or now - last[0] >= replies.interval_s:
            last[0] = now
            replies.send(type="progress", step=int(step), total=int(total), message=str(message))

    return progress


@contextlib.contextmanager
def _output_to(log: Path) -> Iterator[None]:
    """Append all output of the process, native code's too, to `log`; no file where none came."""
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    previous = os.dup(2)
    try:
        os.dup2(target, 1)
        os.dup2(target, 2)
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os.dup2(previous, 1)
        os.dup2(previous, 2)
        empty = os.fstat(target).st_size == 0
        os.close(previous)
        os.close(target)
        if empty:
            log.unlink(missing_ok=True)


def _peak_memory_mb() -> float:
    """Peak resident memory in MB since the last reset, or since the start without `/proc`."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)
