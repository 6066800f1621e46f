"""Runs a graph of nodes on workers, computing only what is missing.

Several executors may work on one store: a node another process holds is left to it, other work is
done meanwhile, and its result is used when it is there. Any process may be killed at any moment;
the same call continues. Leaves out: building the graph (`plan`), the workers (this machine's:
`pool`; a cluster's: `ray_executor`), cleaning up.
"""

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Literal

from whyfirst.config.errors import StoreError
from whyfirst.config.process import LockTakenError
from whyfirst.study.execute.graph import Node, check_graph, remaining_path
from whyfirst.study.execute.pool import ENDS, OpenWorkers, Pool, Workers
from whyfirst.study.execute.store import Incomplete, Store

POLL_S = 0.2
_SAMPLE_S = 0.5  # between two looks at the memory in use
# A worker's death is retried once: memory pressure passes, a crash doesn't. Machines leave clusters
# for reasons of their own, but not for ever.
_MOST = {"died": 2, "lost": 5}


@dataclass(frozen=True)
class Event:
    """Something that happened to a node. `seconds` is how long it took or has been running."""

    kind: Literal[
        "started", "progress", "finished", "incomplete", "reused", "failed", "waiting", "damaged"
    ]
    node_id: str
    step: int = 0
    total: int = 0
    message: str = ""
    seconds: float = 0.0


@dataclass
class Outcome:
    """What a run did.

    Attributes:
        computed: ids computed by this call, in the order they finished.
        reused: ids whose results were there already or came from another process.
        failed: id -> reason, with `not run: ...` for nodes behind a failed one.
        incomplete: id -> what is still to be done of it; the same call completes it.
        seconds: id -> duration of the attempt that completed it, reused nodes included.
        peak_memory_mb: id -> peak resident memory of that attempt's process.
        memory_mb_peak: largest sampled memory of executor and workers together; None if unknown
            or nothing was computed.
    """

    computed: list[str] = field(default_factory=list)
    reused: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    incomplete: dict[str, Incomplete] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    peak_memory_mb: dict[str, float] = field(default_factory=dict)
    memory_mb_peak: float | None = None


def run_graph(
    nodes: Sequence[Node],
    store: Store,
    *,
    workers: int,
    runner: str,
    on_event: Callable[[Event], None] = lambda event: None,
    open_workers: OpenWorkers | None = None,
) -> Outcome:
    """Complete every node of the graph and say what that took.

    A graph that is complete already starts no process and writes nothing.

    Args:
        workers: most worker processes at a time, at least 1; each gets its share of the cores.
        runner: `module:function` that workers import; see `worker.Runner`. It may find files of an
            earlier, killed attempt in its folder and resumes from them.
        on_event: called in this thread; an exception from it stops the run.
        open_workers: other workers than this machine's processes.

    Raises:
        UserError: the graph is no graph (cycle, unknown dependency, duplicate id).
        StoreError: the store can't be written; what is complete is kept, the same call continues.
        KeyboardInterrupt: after the workers have stopped; the same call continues.
        SystemExit: the same, after SIGTERM.
    """
    if workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    run = _Run(check_graph(nodes), store, on_event)
    for node in list(run.todo.values()):
        run.reuse_if_complete(node)
    if run.todo:
        store.create()
        opened = open_workers() if open_workers else Pool(store, runner, workers)
        with _ended_by_term(), opened as pool:
            while run.todo:
                run.hand_out(pool)
                run.take_in(pool)
    return run.outcome


@contextlib.contextmanager
def _ended_by_term() -> Iterator[None]:
    """Inside, SIGTERM ends this process as Ctrl-C does: workers are asked to stop first."""

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    # Other threads can set no handlers.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Run:
    """State of one `run_graph` call."""

    def __init__(self, order: list[Node], store: Store, on_event: Callable[[Event], None]) -> None:
        self.outcome = Outcome()
        self.todo = {node.id: node for node in order}
        self._all = dict(self.todo)
        self._store, self._emit = store, on_event
        self._done: set[str] = set()
        self._begun: dict[str, float] = {}
        self._deaths: dict[str, list[tuple[str, str]]] = {}
        self._waits: set[str] = set()
        self._redone: set[str] = set()
        self._retry_at: dict[str, float] = {}
        self._sampled_at = 0.0
        rest = remaining_path(order)
        self._priority = {node.id: (node.rank, -rest[node.id], at) for at, node in enumerate(order)}

    def reuse_if_complete(self, node: Node) -> bool:
        """Take a node whose result is there out of the work; whether it is."""
        marker = self._store.marker(*node.key)
        if marker is None:
            return False
        self.outcome.reused.append(node.id)
        self._settle(node, marker.get("run", {}))
        self._emit(Event("reused", node.id, seconds=self.outcome.seconds.get(node.id, 0.0)))
        return True

    def _settle(self, node: Node, run: Mapping[str, Any]) -> None:
        if "seconds" in run:
            self.outcome.seconds[node.id] = run["seconds"]
            self.outcome.peak_memory_mb[node.id] = run["peak_memory_mb"]
        self._done.add(node.id)
        del self.todo[node.id]

    def hand_out(self, pool: Workers) -> None:
        """Give ready nodes to workers: by rank, then the one with the longest way to the end."""
        while True:
            busy, now = pool.busy(), time.monotonic()
            ready = [
                node
                for node in self.todo.values()
                if node.key not in busy
                and self._done.issuperset(node.needs)
                and self._retry_at.get(node.id, 0.0) <= now
            ]
            if not ready:
                return
            # Nodes another process holds come last: they are asked for again when nothing else
            # waits.
            node = min(ready, key=lambda n: (n.id in self._retry_at, self._priority[n.id]))
            if self.reuse_if_complete(node):
                continue
            markers = {name: self._store.marker(*self._all[name].key) for name in node.depends}
            shed = [name for name, marker in markers.items() if marker and marker.get("removed")]
            for name in shed:
                self._redo(name, "its weights were removed when nothing needed them any more")
            inputs = {name: self._store.folder(*self._all[name].key) for name in node.depends}
            if not shed and not pool.take(node, inputs):
                return

    def take_in(self, pool: Workers) -> None:
        """Wait a moment for a reply and act on it."""
        now = time.monotonic()
        if now - self._sampled_at >= _SAMPLE_S:
            self._sampled_at = now
            present = pool.memory_mb()
            if present is not None:
                self.outcome.memory_mb_peak = max(present, self.outcome.memory_mb_peak or 0.0)
        received = pool.reply(POLL_S)
        if received is None:
            return
        node, reply = received
        if reply["type"] in ENDS:
            self._on_end(node, reply, pool.retry_s)
        elif reply["type"] in _MOST:
            # A full disk also kills: writing to a mapped file ends in SIGBUS.
            if self._store.is_full():
                raise self._store.refusal(OSError("no space left on device"))
            # Its process died or its machine was lost: it is handed out again, at first.
            deaths, most = self._deaths.setdefault(node.id, []), _MOST[reply["type"]]
            deaths.append((reply["type"], reply["reason"]))
            if sum(kind == reply["type"] for kind, _ in deaths) >= most:
                log = self._store.log_path(*node.key)
                see = f"; its output: {log}" if log.exists() else ""
                self._fail(node, f"{reply['reason']}, {most} times{see}", 0.0)
        elif reply["type"] == "started":
            self._begun[node.id] = time.monotonic()
            self._retry_at.pop(node.id, None)
            before = self._deaths.get(node.id)
            message = f"again: {before[-1][1]}" if before else reply.get("message", "")
            self._emit(Event("started", node.id, message=message))
        elif reply["type"] == "waiting":
            self._wait(node, reply["message"])
        else:
            step, total, message = reply["step"], reply["total"], reply["message"]
            self._emit(Event("progress", node.id, step, total, message, self._elapsed(node)))

    def _on_end(self, node: Node, reply: Mapping[str, Any], retry_s: float) -> None:
        """A node that a worker is done with, one way or another."""
        kind = reply["type"]
        if kind == "finished":
            self.outcome.computed.append(node.id)
            self._settle(node, reply)
            self._emit(Event("finished", node.id, seconds=reply["seconds"]))
        elif kind == "locked":
            self._wait(node, "another process computes it")
            self._retry_at[node.id] = time.monotonic() + retry_s
        elif kind == "failed":
            self._fail(node, reply["message"], self._elapsed(node))
        elif kind == "incomplete":
            what = Incomplete(reply["missing"], reply["total"], reply["reason"])
            self.outcome.incomplete[node.id] = what
            self._drop(node, Event("incomplete", node.id, message=str(what)), "is incomplete")
        elif kind == "damaged":
            # An input whose bytes have changed is computed anew, once.
            name, said = reply["input"], reply["message"]
            if name in self._redone:
                self._fail(node, f"its input {name} is damaged again: {said}; check the disk", 0.0)
            else:
                self._redo(name, said)
        elif kind == "store":
            raise StoreError(reply["message"])
        # "exists": another process was faster; hand_out finds it complete.

    def _elapsed(self, node: Node) -> float:
        now = time.monotonic()
        return now - self._begun.get(node.id, now)

    def _wait(self, node: Node, message: str) -> None:
        """Say once that a node waits."""
        if node.id not in self._waits:
            self._waits.add(node.id)
            self._emit(Event("waiting", node.id, message=message))

    def _redo(self, name: str, why: str) -> None:
        """Put a result aside and its node back into the work."""
        node = self._all[name]
        # Where another process computes it already, or did, there is nothing to put aside.
        with contextlib.suppress(LockTakenError), self._store.lock(*node.key):
            if self._store.folder(*node.key).exists():
                self._store.put_aside(*node.key, why)
        for other in self._all.values():
            if other.key == node.key and other.id in self._done:
                self._done.discard(other.id)
                self.todo[other.id] = other
                for ids in (self.outcome.reused, self.outcome.computed):
                    if other.id in ids:
                        ids.remove(other.id)
        self._redone.add(name)
        self._emit(Event("damaged", name, message=why))

    def _fail(self, node: Node, message: str, seconds: float) -> None:
        self.outcome.failed[node.id] = message
        fate = "was not run" if message.startswith("not run:") else "failed"
        self._drop(node, Event("failed", node.id, message=message, seconds=seconds), fate)

    def _drop(self, node: Node, event: Event, fate: str) -> None:
        """Take a node that can't be completed now, and all that need it, out of the work."""
        del self.todo[node.id]
        self._emit(event)
        for other in list(self.todo.values()):
            if node.id in other.needs and other.id in self.todo:
                self._fail(other, f"not run: needs {node.id}, which {fate}", 0.0)
