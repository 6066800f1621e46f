"""The executor's side of its worker processes: start, talk to, watch, stop and kill them.

Each worker is a fresh interpreter in a process group of its own (so that Ctrl-C reaches the
executor alone and a worker's children die with it), with its share of the cores and GPUs set in the
environment before any library reads it. Leaves out: what to run (`executor`), other machines.
"""

import contextlib
import json
import os
import platform
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any, Protocol

from whyfirst.config.errors import StoreError
from whyfirst.study.execute.graph import Node
from whyfirst.study.execute.store import Store

# How long workers that were asked to stop may take: an update of a stage and its checkpoint.
GRACE_S = 30.0
THREAD_VARIABLES = tuple(
    f"{library}_NUM_THREADS" for library in ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "RAYON")
)
# What a launcher around the whole command sets: a worker is no process of its group.
_LAUNCHER = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
# The parent's search path is handed over, as multiprocessing does, so that a runner the parent can
# import can be imported by the worker; -P keeps the current folder out of it.
_START = (
    "import sys; sys.path[:] = sys.argv[1:]; from whyfirst.study.execute.worker import main; main()"
)


class Workers(Protocol):
    """What computes nodes for the executor: this machine's processes, or a cluster's.

    Attributes:
        retry_s: seconds after which a node that another process held is asked for again.
    """

    retry_s: float

    def busy(self) -> set[tuple[str, str]]:
        """Keys of the nodes in work."""

    def take(self, node: Node, inputs: Mapping[str, Path]) -> bool:
        """Have a node computed; False where there is no room for it now."""

    def reply(self, timeout_s: float) -> tuple[Node, Mapping[str, Any]] | None:
        """The next thing that happened to a node, None after the time.

        What a worker says (worker.py), or `died` (its process did) or `lost` (its machine did) with
        a `reason`, or `waiting` with a `message`.
        """

    def memory_mb(self) -> float | None:
        """Resident memory of everything now, in MB; None where unknown."""


# Starts the workers; leaving the context stops them. Called only where there is work.
OpenWorkers = Callable[[], AbstractContextManager[Workers]]
# Types of reply after which a worker is free again.
ENDS = ("finished", "incomplete", "exists", "locked", "failed", "damaged", "store")


def available_cores() -> int:
    """CPU cores this process may use: its affinity, cut by a container's quota."""
    cores = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    with contextlib.suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        cores = min(cores, max(1, int(quota) // int(period)))
    return cores


def visible_gpus() -> list[str]:
    """Names of the GPUs this process may use, as CUDA_VISIBLE_DEVICES spells them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name.strip() for name in named.split(",") if name.strip() not in ("", "-1")]
    return [str(index) for index in range(len(list(Path("/dev").glob("nvidia[0-9]*"))))]


def device_kind() -> str:
    """What stages and evaluations compute on here: ``cuda`` (ROCm too), ``mps`` or ``cpu``.

    Told from the machine and torch's build, because a plan must not have to import torch; workers
    check it (kinds.py). Setting CUDA_VISIBLE_DEVICES, empty to hide the GPUs, settles it.
    """
    if "+cpu" in version("torch"):
        return "cpu"
    if platform.system() == "Darwin":
        return "mps" if platform.machine() == "arm64" else "cpu"
    if "CUDA_VISIBLE_DEVICES" in os.environ or visible_gpus():
        return "cuda" if visible_gpus() else "cpu"
    # AMD's driver, and the GPU of the Windows subsystem.
    return "cuda" if any(Path(name).exists() for name in ("/dev/kfd", "/dev/dxg")) else "cpu"


def machine_words() -> str:
    """What stages and evaluations compute on here, in words: a CPU by its cores and their name."""
    kind = device_kind()
    if kind != "cpu":
        return kind
    named = platform.processor() or platform.machine()
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        about = (line.partition(":") for line in lines)
        named = next(value.strip() for key, _, value in about if key.startswith("model name"))
    cores = available_cores()
    return f"{cores} core{'s' if cores > 1 else ''} of {named}"


def search_path() -> list[str]:
    """Where this process finds its modules, for another one to find the same.

    The current folder, which Python puts there by itself, is left out: a file in it could pass for
    a library's. Named in PYTHONPATH it stays.
    """
    # An empty entry names no folder: it is what splitting an unset variable gives.
    named = set(filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)))
    here = {str(Path.cwd()), ""} - named
    return [entry for entry in sys.path if entry not in here]


def default_workers() -> int:
    """As many workers as GPUs, or as cores where there is no GPU."""
    return len(visible_gpus()) or available_cores()


def environment_for(threads: int) -> dict[str, str]:
    """This process' environment as a worker with so many threads has it."""
    kept = {name: value for name, value in os.environ.items() if name not in _LAUNCHER}
    # What a worker starts (`python -m ...`) takes no module from the current folder either.
    kept["PYTHONSAFEPATH"] = "1"
    return kept | dict.fromkeys(THREAD_VARIABLES, str(threads))


def worker_environment(slot: int, workers: int) -> dict[str, str]:
    """Environment of worker number `slot` of `workers`: its share of the cores and GPUs."""
    environment = environment_for(max(1, available_cores() // workers))
    gpus = visible_gpus()
    if workers > 1 and len(gpus) > 1:
        share = gpus[slot::workers] or [gpus[slot % len(gpus)]]
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(share)
    return environment


@dataclass(eq=False)
class Worker:
    """One worker process. `node` is what it works on, None while it is idle."""

    slot: int
    process: "subprocess.Popen[str]"
    node: Node | None = None
    ready: bool = False

    def send(self, **command: Any) -> None:
        """Write one command; a worker that just died will be noticed by its end of output."""
        stdin = self.process.stdin
        assert stdin is not None
        with contextlib.suppress(BrokenPipeError):
            stdin.write(json.dumps(command) + "\n")
            stdin.flush()

    def kill(self) -> None:
        """Send the process and its children SIGKILL."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def bury(self) -> None:
        """Kill what is left of it, wait for its end and free its pipe."""
        self.kill()
        self.process.wait()
        if self.process.stdin is not None:
            with contextlib.suppress(OSError):
                self.process.stdin.close()


class Pool:
    """At most `workers` processes, started as needed; a context manager that leaves none behind."""

    retry_s = 0.2

    def __init__(self, store: Store, runner: str, workers: int) -> None:
        self._store, self._runner, self._limit = store, runner, workers
        self._replies: queue.Queue[tuple[Worker, dict[str, Any]]] = queue.Queue()
        self.workers: dict[int, Worker] = {}
        self.log = store.root / "logs" / "workers.log"

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        asked = {worker for worker in self.workers.values() if worker.node is not None}
        if kind is None or not issubclass(kind, KeyboardInterrupt | SystemExit):
            asked = set()
        try:
            # Busy workers are interrupted and given a while: a stage then leaves a checkpoint. The
            # worker alone is: its children would leave none.
            for worker in asked:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(worker.process.pid, signal.SIGINT)
            end = time.monotonic() + GRACE_S
            while asked and (left := end - time.monotonic()) > 0:
                with contextlib.suppress(queue.Empty):
                    worker, reply = self._replies.get(timeout=left)
                    if reply["type"] in (*ENDS, "gone"):
                        asked.discard(worker)
        finally:
            # Work is written to be killed at any moment: what didn't stop in time is, as all is
            # where the disk is full, or on a second Ctrl-C.
            for worker in self.workers.values():
                worker.kill()
            for worker in self.workers.values():
                worker.bury()
            self.workers.clear()

    def busy(self) -> set[tuple[str, str]]:
        """Keys of the nodes in work."""
        return {worker.node.key for worker in self.workers.values() if worker.node is not None}

    def take(self, node: Node, inputs: Mapping[str, Path]) -> bool:
        """Give the node to an idle worker; False where all are busy."""
        worker = next((worker for worker in self.workers.values() if worker.node is None), None)
        if worker is None:
            free = [slot for slot in range(self._limit) if slot not in self.workers]
            if not free:
                return False
            with self._store.writing():
                output = self.log.open("ab")
            with output:
                process = subprocess.Popen(
                    [sys.executable, "-P", "-c", _START, *search_path()],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=output,
                    text=True, encoding="utf-8", env=worker_environment(free[0], self._limit),
                    start_new_session=True,
                )  # fmt: skip
            worker = self.workers[free[0]] = Worker(free[0], process)
            threading.Thread(target=self._read, args=(worker,), daemon=True).start()
            worker.send(store=str(self._store.root), runner=self._runner)
        worker.node = node
        worker.send(node=node.to_json(), inputs={name: str(path) for name, path in inputs.items()})
        return True

    def _read(self, worker: Worker) -> None:
        stdout: IO[str] | None = worker.process.stdout
        assert stdout is not None
        with stdout:
            for line in stdout:
                # A worker killed in the middle of a line leaves a torn one, just before its end.
                with contextlib.suppress(json.JSONDecodeError):
                    self._replies.put((worker, json.loads(line)))
        self._replies.put((worker, {"type": "gone"}))

    def reply(self, timeout_s: float) -> tuple[Node, Mapping[str, Any]] | None:
        """The next reply about a node; `died` where its worker did. None after the time.

        Raises:
            StoreError: workers can't use the store.
            RuntimeError: they can't even start.
        """
        try:
            worker, reply = self._replies.get(timeout=timeout_s)
        except queue.Empty:
            for worker in self.workers.values():
                if worker.process.poll() is not None:
                    # Its children could hold the pipe, and the lock, open.
                    worker.kill()
            return None
        node = worker.node
        if reply["type"] == "ready":
            worker.ready = True
            return None
        if reply["type"] == "refused":
            raise StoreError(f"a worker can't use the store: {reply['reason']}")
        if reply["type"] in ENDS:
            worker.node = None
        elif reply["type"] == "gone":
            worker.bury()
            if self.workers.get(worker.slot) is worker:
                del self.workers[worker.slot]
            code = worker.process.returncode
            if not worker.ready and code > 0:
                raise RuntimeError(f"a worker could not start (exit code {code}): {self.log}")
            said = f"ended by itself (exit code {code})"
            if code < 0:
                said = f"crashed (signal {-code})"
            if code == -signal.SIGKILL:
                said = "was killed (signal 9; often the system is out of memory)"
            reply = {"type": "died", "reason": f"its worker process {said}"}
        return None if node is None else (node, reply)

    def memory_mb(self) -> float | None:
        """Resident memory of this process and all workers now, in MB; None where unknown."""
        total = 0.0
        for process in (os.getpid(), *(worker.process.pid for worker in self.workers.values())):
            try:
                pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
            except (OSError, IndexError):
                if process == os.getpid():
                    return None
                continue
            total += pages * os.sysconf("SC_PAGESIZE") / 2**20
        return total
