"""Workers on a Ray cluster: every node of a study is a Ray task with the resources it declares.

Ray decides where and when a task runs; this hands it what is ready and hands back what it says. A
stage declares its `processes` (each a GPU, where the study computes on GPUs), `cpus` and
`memory_gb`; everything else takes one core (and one GPU where it computes on them). A task whose
process or machine is gone is handed to Ray again, and goes on from its last checkpoint where the
machines share the store. Leaves out: what a task does (`ray_worker`), starting a cluster.
"""

import contextlib
import os
import secrets
import socket
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from whyfirst.config import plugins
from whyfirst.config.errors import ConfigError, StoreError
from whyfirst.config.files import write_json
from whyfirst.models.spend import RUN
from whyfirst.study.execute.graph import LIBRARIES, Node
from whyfirst.study.execute.pool import available_cores, search_path
from whyfirst.study.execute.ray_worker import Mailbox, Task, pack, package_versions, work
from whyfirst.study.execute.store import Store

# What must have one version on all machines, because fingerprints name it.
PACKAGES = ("whyfirst", *LIBRARIES)
# What a node's task declares, as Ray names what a machine has of it.
_RESOURCES = {"num_cpus": "CPU", "num_gpus": "GPU", "memory": "memory"}
_FORWARDED = (
    "HF_HUB_OFFLINE", "WHYFIRST_DATA", "WHYFIRST_HEARTH_ASSETS", plugins.VARIABLE, RUN,
)  # fmt: skip
_PATIENCE_S = 5.0


@dataclass
class _Attempt:
    """One task in Ray's hands."""

    node: Node
    inputs: dict[str, tuple[str, str]]
    number: int
    started: bool = False
    held: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)


class RayWorkers:
    """Tasks on a cluster. A context manager: leaving it cancels what still runs.

    Args:
        limit: most tasks in Ray's hands at a time; None: twice the cluster's cores, so that there
            is always one waiting. On a cluster started here also its cores.
        address: of a cluster's head, ``HOST:PORT`` or ``auto``; None: RAY_ADDRESS, else a cluster
            of this machine alone, for as long as this runs.

    Raises:
        ConfigError: ray isn't installed, or no cluster answers at the address.
    """

    retry_s = 2.0

    def __init__(self, store: Store, runner: str, limit: int | None, address: str | None) -> None:
        self._store, self._runner, self._limit = store, runner, limit
        self._address = address or os.environ.get("RAY_ADDRESS") or "local"
        self._token = store.root / "logs" / f".ray-{secrets.token_hex(16)}.json"
        self._ships = False
        self._count = 0
        self._attempts: dict[Any, _Attempt] = {}
        self._packed: dict[tuple[str, str], Any] = {}
        self._replies: deque[tuple[Node, dict[str, Any]]] = deque()

    def __enter__(self) -> "RayWorkers":
        self._ray, self._ours = _connect(self._address, self._limit)
        ray = self._ray
        write_json(self._token, {"executor": os.getpid()})
        here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=False
        )
        self._mailbox = ray.remote(Mailbox).options(
            num_cpus=0, scheduling_strategy=here, max_concurrency=1000
        ).remote()  # fmt: skip
        self._inbox = self._mailbox.collect.remote()
        self._task = ray.remote(work)
        # A process that has used a GPU keeps it and its memory: each such task has one of its own.
        self._gpu_task = ray.remote(num_gpus=1, max_calls=1)(work)
        if self._limit is None:
            self._limit = max(2, 2 * int(ray.cluster_resources().get("CPU", 1)))
        return self

    def __exit__(self, *exc: object) -> None:
        for ref, attempt in self._attempts.items():
            # Killed, not asked: it is work that is written to be killed at any moment.
            with contextlib.suppress(Exception):
                self._ray.cancel(ref, force=True)
            attempt.held.close()
        self._ray.kill(self._mailbox)
        if self._ours:
            self._ray.shutdown()
        self._token.unlink(missing_ok=True)

    def busy(self) -> set[tuple[str, str]]:
        """Keys of the nodes in Ray's hands."""
        waiting = {node.key for node, _ in self._replies}
        return waiting | {attempt.node.key for attempt in self._attempts.values()}

    def take(self, node: Node, inputs: Mapping[str, Path]) -> bool:
        """Hand a node to Ray; False where it has enough to do."""
        assert self._limit is not None
        if len(self._attempts) >= self._limit:
            return False
        asked = {_RESOURCES[name]: amount for name, amount in declared(node).items() if amount}
        machines = [machine["Resources"] for machine in self._ray.nodes() if machine["Alive"]]
        if not any(all(m.get(n, 0) >= most for n, most in asked.items()) for m in machines):
            told = ", ".join(f"{name} {amount:g}" for name, amount in asked.items())
            lacking = f"no machine of the Ray cluster has what it asks for ({told})"
            if self._address == "local":
                self._replies.append((node, {"type": "failed", "message": lacking}))
                return True
            # The cluster may be one that grows with what is asked of it.
            self._replies.append((node, {"type": "waiting", "message": lacking}))
        keys = {name: (path.parent.name, path.name) for name, path in inputs.items()}
        self._submit(node, keys)
        return True

    def _submit(self, node: Node, inputs: dict[str, tuple[str, str]]) -> None:
        asked = declared(node)
        self._count += 1
        attempt, shipped = _Attempt(node, inputs, self._count), None
        if self._ships:
            vain = self._store.hold(*node.key, attempt.held)
            if vain:
                self._replies.append((node, {"type": vain}))
                return
            for key in inputs.values():
                # Its files go into Ray's object store once, for all that read them.
                if key not in self._packed:
                    self._packed[key] = self._ray.put(pack(self._store.folder(*key)))
            shipped = {name: self._packed[key] for name, key in inputs.items()}
        task = Task(
            number=attempt.number, node=node.to_json(), inputs=inputs, runner=self._runner,
            root=str(self._store.root), token=str(self._token), held=self._ships,
            search_path=search_path(), versions=package_versions(PACKAGES),
            environment={name: os.environ[name] for name in _FORWARDED if name in os.environ},
            cpus=int(asked["num_cpus"]), gpus=int(asked["num_gpus"]),
        )  # fmt: skip
        # Not retried by Ray: the executor does, and says so.
        options = {**asked, "max_retries": 0, "name": node.id}
        kind = self._gpu_task if asked["num_gpus"] else self._task
        ref = kind.options(**options).remote(task, self._mailbox, shipped)
        self._attempts[ref] = attempt

    def reply(self, timeout_s: float) -> tuple[Node, Mapping[str, Any]] | None:
        """The next thing a task said or that happened to it; None after the time."""
        if not self._replies:
            waited = [*([self._inbox] if self._inbox is not None else []), *self._attempts]
            if not waited:
                time.sleep(timeout_s)
                return None
            for ref in self._ray.wait(waited, timeout=timeout_s)[0]:
                if ref != self._inbox:
                    self._end(ref)
                    continue
                try:
                    letters = self._ray.get(self._inbox)
                except self._ray.exceptions.RayActorError:
                    # Progress isn't shown any more, and that is all: results come from the tasks.
                    self._inbox = None
                    continue
                self._inbox = self._mailbox.collect.remote()
                # Letters of attempts that are over come too late.
                known = {attempt.number: attempt for attempt in self._attempts.values()}
                for number, reply in letters:
                    if number in known:
                        known[number].started = True
                        self._replies.append((known[number].node, reply))
        return self._replies.popleft() if self._replies else None

    def _end(self, ref: Any) -> None:
        """Take a task's end in."""
        attempt = self._attempts.pop(ref)
        node = attempt.node
        with attempt.held:
            reply = self._outcome(ref)
            # What ran apart from the store left its output and its result to be kept here.
            if "log" in reply:
                path, there = self._store.log_path(*node.key), reply.pop("log_path")
                path.write_bytes(reply.pop("log"))
                if "message" in reply:
                    reply["message"] = reply["message"].replace(there, str(path))
            if "files" in reply:
                try:
                    self._store.adopt(*node.key, reply.pop("files"))
                except StoreError as error:
                    reply = {"type": "store", "message": str(error)}
        if reply["type"] == "unshared":
            self._ships = True
            self._submit(node, attempt.inputs)
            return
        if reply["type"] == "finished" and not attempt.started:
            self._replies.append((node, {"type": "started"}))
        self._replies.append((node, reply))

    def _outcome(self, ref: Any) -> dict[str, Any]:
        """A task's reply, or what became of it."""
        errors = self._ray.exceptions
        try:
            return dict(self._ray.get(ref))
        except errors.OutOfMemoryError:
            reason = "Ray killed its worker process because the machine was out of memory"
        except errors.WorkerCrashedError:
            reason = "its worker process was killed or crashed"
        except errors.RayTaskError as error:
            cause = error.cause or error
            return {"type": "failed", "message": f"{type(cause).__name__}: {cause}"[:2000]}
        except errors.RayError as error:
            told = _first_line(error)
            return {"type": "lost", "reason": f"its machine left the Ray cluster ({told})"[:500]}
        return {"type": "died", "reason": reason}

    def memory_mb(self) -> None:
        """Nobody sums it over machines."""


def declared(node: Node) -> dict[str, float]:
    """The resources of a node's task, under Ray's names; memory in bytes."""
    train = node.payload.get("train", {}) if node.kind == "stage" else {}
    on_gpus = node.payload.get("config", {}).get("device") == "cuda"
    processes = train.get("processes", 1)
    asked = {
        "num_cpus": max(train.get("cpus") or 1, processes),
        "num_gpus": processes if on_gpus else 0,
    }
    if train.get("memory_gb"):
        asked["memory"] = int(train["memory_gb"] * 1e9)
    return asked


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _connect(address: str, cores: int | None) -> tuple[Any, bool]:
    """The ray module, connected to a cluster, and whether this connected it.

    Raises:
        ConfigError: it isn't installed, or nothing answers.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Unset, Ray warns that it will stop hiding the GPUs from tasks without one.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError:
        raise ConfigError(
            "--executor ray needs Ray, which isn't installed here; pip install 'whyfirst[ray]'"
        ) from None
    if ray.is_initialized():
        return ray, False
    options: dict[str, Any] = {
        "include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR",
    }  # fmt: skip
    remedy = "start one with `ray start --head`, or leave --address out to use this machine alone"
    host, _, port = address.rpartition(":")
    if address == "local":
        # Results go through the store, so Ray's own one may be small. It asks nobody's name, so it
        # need not be heard outside this machine.
        options |= {
            "num_cpus": cores or available_cores(), "object_store_memory": 128 * 2**20,
            "_node_ip_address": "127.0.0.1",
        }  # fmt: skip
    elif address != "auto":
        if not host or not port.isdigit() or "/" in host:
            raise ConfigError(
                f"--address {address}: give HOST:PORT of the cluster's head (6379 is Ray's port), "
                "or auto for the cluster that runs on this machine"
            )
        # Where nothing listens Ray itself would try for a minute.
        try:
            socket.create_connection((host, int(port)), timeout=_PATIENCE_S).close()
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ConfigError(f"no Ray cluster at {address}: {reason}; {remedy}") from error
    try:
        ray.init(address=address, **options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        told = _first_line(error)
        raise ConfigError(f"no Ray cluster at {address}: {told}; {remedy}") from error
    return ray, True
