"""What a storm does to a running command, and when.

A harm takes the command and says in a word what it hit; a moment waits until it has come. Leaves
out: faults of the disk (`faults`) and power cuts (`power`).
"""

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

from command import MARKER, Command
from endpoint import Endpoint

Harm = Callable[[Command, random.Random], str]
POLL_S = 0.004


def _send(pids: list[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def kill_parent(command: Command, rng: random.Random) -> str:
    """SIGKILL to the command alone; its workers must notice and end."""
    command.process.kill()
    return "parent"


def kill_worker(command: Command, rng: random.Random) -> str:
    """SIGKILL to one of its workers; the command must replace it."""
    workers = command.workers()
    if not workers:
        return ""
    _send([rng.choice(workers)], signal.SIGKILL)
    return "worker"


def kill_group(command: Command, rng: random.Random) -> str:
    """SIGKILL to the command and all of its workers, as when a machine is shut down."""
    workers = command.workers()
    _send([command.process.pid, *workers], signal.SIGKILL)
    return "group of both" if workers else "group of one"


def term(command: Command, rng: random.Random) -> str:
    """SIGTERM, as a batch system sends; it ends by itself."""
    command.process.terminate()
    return "parent"


def interrupt(command: Command, rng: random.Random) -> str:
    """SIGINT, as Ctrl-C; it ends by itself."""
    command.process.send_signal(signal.SIGINT)
    return "parent"


def stop_and_go_on(command: Command, rng: random.Random) -> str:
    """SIGSTOP to the command, a worker or both, and SIGCONT a while later."""
    workers = command.workers()
    name, stopped = rng.choice(
        [("parent", [command.process.pid])]
        + ([("worker", workers), ("both", [command.process.pid, *workers])] if workers else [])
    )
    _send(stopped, signal.SIGSTOP)
    time.sleep(rng.uniform(0.05, 2.0))
    _send(stopped, signal.SIGCONT)
    return name


def stop_and_kill(command: Command, rng: random.Random) -> str:
    """SIGSTOP to a worker, then SIGKILL to its command: the stopped worker holds the lock.

    It is let go on, as a debugger or a suspended machine would; it must then end.
    """
    workers = command.workers()
    _send(workers, signal.SIGSTOP)
    command.process.kill()
    time.sleep(rng.uniform(0.05, 1.0))
    _send(workers, signal.SIGCONT)
    return "both" if workers else "parent"


HARMS: dict[str, tuple[Harm, int]] = {
    "kill parent": (kill_parent, 4),
    "kill worker": (kill_worker, 4),
    "kill group": (kill_group, 4),
    "stop, continue": (stop_and_go_on, 3),
    "stop worker, kill parent": (stop_and_kill, 1),
    "TERM": (term, 2),
    "INT": (interrupt, 1),
}


def server_trouble(server: Endpoint, rng: random.Random) -> str:
    """The endpoint goes away, breaks off its replies, or refuses, for a while."""
    order = rng.choice(["down", "cut", "503", "429"])
    server(order)
    time.sleep(rng.uniform(0.1, 2.5))
    server("up")
    return order


# -- moments ---------------------------------------------------------------------------------------


def _seen(store: Path, out: Path, what: str) -> set[str]:
    """Names whose coming is the moment."""
    if what == "marker":
        return {str(p) for p in store.glob(f"*/*/{MARKER}")}
    if what == "weights":
        return {str(p) for p in store.glob("stage/*/**/*") if ".tmp" in str(p)
                or p.suffix == ".safetensors"}  # fmt: skip
    return {f"{p}{p.stat().st_ino}" for p in out.glob("report/*") if p.exists()}


def await_moment(what: str, command: Command, store: Path, rng: random.Random, work: float) -> bool:
    """Wait for it; whether the command still runs then.

    Args:
        what: `any`, when it has worked for so long, or less; `marker`, `weights` or `report`, as
            soon as such a file comes.
        work: seconds of CPU that are about all it will take.
    """
    end, out = time.monotonic() + 120, command.out
    # Early more often than late: what is killed early costs less to do again.
    limit = work * rng.random() ** 2
    watched = what != "any"
    before: set[str] = set()
    with contextlib.suppress(OSError):
        before = _seen(store, out, what) if watched else set()
    while time.monotonic() < end and not command.ended:
        if not watched and command.cpu_seconds() >= limit:
            break
        with contextlib.suppress(OSError):
            if watched and _seen(store, out, what) - before:
                time.sleep(rng.choice([0, 0, 0.001, 0.005, 0.02]))
                break
        time.sleep(POLL_S)
    return not command.ended
