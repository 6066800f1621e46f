"""What runs on a Ray cluster's machines: one node of a study in one Ray task, and its mailbox.

A task uses the executor's own store where its machine sees it, and a worker's code (worker.py) all
the same: lock, log, checkpoints, atomic completion. Where it doesn't, inputs come and the result
goes through Ray's object store. Leaves out: which node runs when and where (Ray, `ray_executor`).
"""

import asyncio
import importlib
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from whyfirst.study.execute.graph import Node
from whyfirst.study.execute.marker import MARKER, is_inside, plain_files
from whyfirst.study.execute.pool import environment_for
from whyfirst.study.execute.store import Store
from whyfirst.study.execute.worker import serve

# A result's files by their names inside its folder, its marker too.
Files = dict[str, bytes]


@dataclass(frozen=True)
class Task:
    """One node to compute, as the executor describes it to a machine.

    Attributes:
        number: of this attempt, for the mailbox.
        node: a `Node` as JSON.
        inputs: key of each dependency, by its id.
        runner: as in `run_graph`.
        root: the store's folder on the executor's machine.
        token: a file in that store that no other store has: where it is seen, so is the store.
        held: the executor holds the node's lock itself.
        search_path: where the executor finds its modules.
        environment: variables that decide what a node finds.
        versions: of the packages a result depends on, as the executor has them.
        cpus: cores it was given.
        gpus: GPUs it was given.
    """

    number: int
    node: dict[str, Any]
    inputs: dict[str, tuple[str, str]]
    runner: str
    root: str
    token: str
    held: bool
    search_path: list[str]
    environment: dict[str, str]
    versions: dict[str, str]
    cpus: int
    gpus: int


class Mailbox:
    """A Ray actor beside the executor that takes in what tasks say while they run."""

    def __init__(self) -> None:
        self._letters: list[tuple[int, dict[str, Any]]] = []
        self._some = asyncio.Event()

    async def post(self, number: int, reply: dict[str, Any]) -> None:
        """Leave a reply of attempt `number`."""
        self._letters.append((number, reply))
        self._some.set()

    async def collect(self) -> list[tuple[int, dict[str, Any]]]:
        """Everything left since the last time; waits until there is something."""
        await self._some.wait()
        self._some.clear()
        letters, self._letters = self._letters, []
        return letters


class _Letters:
    """A task's replies: posted while it runs, the last one handed back as its result."""

    interval_s = 0.5

    def __init__(self, mailbox: Any, number: int) -> None:
        self._mailbox, self._number = mailbox, number
        self.last: dict[str, Any] = {}

    def send(self, **reply: Any) -> None:
        if reply["type"] in ("started", "progress"):
            self._mailbox.post.remote(self._number, reply)
        else:
            self.last = reply


def work(task: Task, mailbox: Any, shipped: Mapping[str, Any] | None) -> dict[str, Any]:
    """Compute one node; the body of a Ray task.

    Args:
        shipped: object references of the inputs' `Files` by id; None as long as the executor
            doesn't know of a machine that needs them.

    Returns:
        A worker's last reply; `unshared` where inputs would be needed. A result computed apart
        from the executor's store comes with its `files`, and a failure there with its `log`.
    """
    # Ray uses a process for many tasks: make it what a worker of the executor would be.
    environment = environment_for(task.cpus) | task.environment
    if not task.gpus:
        environment["CUDA_VISIBLE_DEVICES"] = ""
    os.environ.update(environment)
    for name in os.environ.keys() - environment.keys():
        del os.environ[name]
    if "torch" in sys.modules:
        importlib.import_module("torch").set_num_threads(task.cpus)
    sys.path += [entry for entry in task.search_path if entry not in sys.path]
    here, wanted = package_versions(list(task.versions)), task.versions
    differing = [f"{n} {here[n]} and not {wanted[n]}" for n in wanted if here[n] != wanted[n]]
    if differing:
        return {"type": "failed", "message": (
            f"the machine {os.uname().nodename} has {', '.join(differing)}, so its result would be "
            "kept under a name it doesn't have; install the same versions on every machine of the "
            "cluster"
        )}  # fmt: skip
    node, replies = Node.from_json(task.node), _Letters(mailbox, task.number)
    if Path(task.token).is_file():
        store = Store(Path(task.root))
        inputs = {name: store.folder(*key) for name, key in task.inputs.items()}
        serve(store, node, inputs, task.runner, replies, lock=not task.held)
        return replies.last
    if shipped is None:
        return {"type": "unshared"}
    adapter = node.payload.get("train", {}).get("lora") if node.kind == "stage" else None
    if adapter and not adapter["merge"]:
        return {"type": "failed", "message": _APART}
    import ray

    with tempfile.TemporaryDirectory(prefix="whyfirst-") as place:
        store = Store(Path(place) / "store")
        store.create()
        inputs = {name: store.folder(*key) for name, key in task.inputs.items()}
        for name, folder in inputs.items():
            unpack(ray.get(shipped[name]), folder)
        serve(store, node, inputs, task.runner, replies)
        reply = replies.last
        log = store.log_path(*node.key)
        if log.is_file():
            reply |= {"log": log.read_bytes(), "log_path": str(log)}
        if reply["type"] == "finished":
            reply["files"] = pack(store.folder(*node.key))
        return reply


_APART = (
    "a stage that saves its adapter alone names its base by its place, and this machine doesn't "
    "see the store; set lora.merge, or give --store a folder that all machines see"
)


def pack(folder: Path) -> Files:
    """A result's files in memory."""
    found = [*plain_files(folder), *folder.glob(MARKER)]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def unpack(files: Files, folder: Path) -> None:
    """Write them to an empty folder.

    Raises:
        ValueError: a name leads out of it.
    """
    for name, content in files.items():
        if not is_inside(name):
            raise ValueError(f"refuses a file named {name!r}")
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def package_versions(names: Sequence[str]) -> dict[str, str]:
    """Installed versions, without the build's name (``2.13.0+cpu``): a GPU's build is another."""
    return {name: version(name).partition("+")[0] for name in names}
