"""How far a graph of work is and how long the rest will take: one estimate for all who show it.

A node is expected to take what nodes alike took (same kind, options and base: in this graph, or
any in the store), else what its kind took by weight. A node that runs is judged by its own pace as
soon as that says something, and then speaks for the waiting ones like it. Where nothing of the kind
was measured and the weights are no seconds, there is no estimate, rather than a wrong one. Leaves
out: showing it (`whyfirst.cli`).
"""

import contextlib
import heapq
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from whyfirst.config.errors import DataError
from whyfirst.config.files import read_json, sha256_json
from whyfirst.study.execute.executor import Event
from whyfirst.study.execute.graph import Node, check_graph, remaining_path
from whyfirst.study.execute.marker import MARKER
from whyfirst.study.execute.store import Store

_TRUSTED_S = 10.0  # weights that are seconds count as much as this many measured seconds
_TELLING = 0.1  # from this share on, a node's own pace alone says how long it takes
_SOON_S = 1.0  # before so long a node's pace is its start-up's
_NEWEST = 200  # markers of a kind that are read for what its nodes took
_CONFIDENT = 0.5  # this share of the work left must stand on something measured
_PLACES = ("seed", "world_seed", "path", "model", "corpora", "endpoint")

# What nodes that take equally long have in common: their kind, and a hash of the rest.
Shape = tuple[tuple[str, ...], str]


@dataclass
class Running:
    """A node that is being computed, or (`waiting`) that another process computes."""

    begun: float
    step: int = 0
    total: int = 0
    message: str = ""
    waiting: bool = False

    @property
    def share(self) -> float:
        """How much of it is done, in [0, 1]; 0 where it doesn't say."""
        return min(1.0, self.step / self.total) if self.total > 0 else 0.0


class Tracker:
    """State of one run of a graph.

    Args:
        nodes: the whole graph.
        workers: how many nodes run at a time.
        clock: seconds, monotonic.
        history: seconds that nodes of each shape took before; see `history`.
        in_seconds: the nodes' weights are rough seconds, and not only an order of size.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        workers: int,
        clock: Callable[[], float] = time.monotonic,
        history: Mapping[Shape, Sequence[float]] | None = None,
        in_seconds: bool = True,
    ) -> None:
        self._order = check_graph(nodes)
        self._nodes = {node.id: node for node in self._order}
        self._workers, self._clock, self._in_seconds = workers, clock, in_seconds
        known = {n.id: (n.kind, n.fingerprint, n.depends) for n in nodes}
        self._shapes = {n.id: shape(n.kind, n.payload, _base_of(n.id, known)) for n in nodes}
        self._past = dict(history or {})
        self._took: dict[str, tuple[float, bool]] = {}  # seconds, and whether in this run
        self.running: dict[str, Running] = {}
        self.done: set[str] = set()
        self.reused = 0
        self.failed: dict[str, str] = {}

    @property
    def total(self) -> int:
        """Number of nodes."""
        return len(self._nodes)

    @property
    def settled(self) -> bool:
        """Whether nothing is left to do."""
        return len(self.done) + len(self.failed) >= self.total

    @property
    def share(self) -> float:
        """How much of the graph is settled, by the nodes' weights; never falls but on a retry."""
        whole = sum(node.weight for node in self._order)
        settled = sum(self._nodes[name].weight for name in self.done | set(self.failed))
        begun = sum(self._nodes[name].weight * run.share for name, run in self.running.items())
        return min(1.0, (settled + begun) / whole) if whole > 0 else 1.0

    def take(self, event: Event) -> None:
        """Account for one event."""
        name = event.node_id
        if event.kind in ("started", "waiting"):
            waiting = event.kind == "waiting"
            self.running[name] = Running(self._clock(), message=event.message, waiting=waiting)
        elif event.kind == "progress":
            run = self.running.setdefault(name, Running(self._clock() - event.seconds))
            run.step, run.total, run.message = event.step, event.total, event.message
        else:
            self.running.pop(name, None)
            # It is put aside, and so to be computed again.
            if event.kind == "damaged":
                self.done.discard(name)
            elif event.kind in ("failed", "incomplete"):
                self.failed[name] = event.message
            else:
                self.done.add(name)
                self.reused += event.kind == "reused"
                if event.seconds > 0:
                    self._took[name] = event.seconds, event.kind != "reused"

    def seconds_left(self) -> float | None:
        """Estimate of the wall seconds to the end: all work shared by the workers, but at least
        the longest chain of nodes that need each other. None where nothing stands behind one."""
        now = self._clock()
        # What this run shows comes first: what the store shows may be another machine's.
        present, before = _Known(_TRUSTED_S if self._in_seconds else 0.0), _Known(0.0)
        for name, (seconds, here) in self._took.items():
            (present if here else before).add(self._shapes[name], self._nodes[name].weight, seconds)
        for name, run in self.running.items():
            if run.share >= _TELLING and now - run.begun > _SOON_S:
                pace = (now - run.begun) / run.share
                present.add(self._shapes[name], self._nodes[name].weight, pace)
        weights = {self._shapes[node.id]: node.weight for node in self._order}
        for one in self._past.keys() & weights.keys():
            for seconds in self._past[one]:
                before.add(one, weights[one], seconds)
        left, based = [], 0.0
        for node in self._order:
            seconds, measured = 0.0, True
            if node.id not in self.done and node.id not in self.failed:
                alike = self._shapes[node.id]
                known = (k.expected(node, alike) for k in (present, before))
                expected = next((found for found in known if found is not None), None)
                measured = expected is not None
                seconds = node.weight * present.scale if expected is None else expected
            if node.id in self.running:
                run = self.running[node.id]
                elapsed = now - run.begun
                # Past what was expected of it, a node may well take as long again.
                seconds = seconds - elapsed if elapsed < seconds else elapsed
                if run.share > 0:
                    pace = elapsed * (1.0 - run.share) / run.share
                    trust = min(1.0, run.share / _TELLING)
                    seconds = trust * pace + (1.0 - trust) * seconds
                    measured = measured or trust >= 1.0
            left.append(replace(node, weight=seconds))
            based += seconds if measured else 0.0
        work = sum(node.weight for node in left)
        if not self._in_seconds and based < _CONFIDENT * work:
            return None
        return max(work / self._workers, max(remaining_path(left).values(), default=0.0))


class _Known:
    """What nodes take, from samples: by shape, else by kind and weight, else by weight alone."""

    def __init__(self, trusted: float) -> None:
        self._took: dict[Any, tuple[float, float, int]] = {}  # seconds, weights and number
        self._trusted = trusted

    def add(self, shape: Shape, weight: float, seconds: float) -> None:
        for of in (shape, shape[0], None):
            took, weights, count = self._took.get(of, (0.0, 0.0, 0))
            self._took[of] = took + seconds, weights + weight, count + 1

    @property
    def scale(self) -> float:
        """Seconds that a weight of 1 stands for."""
        took, weights, _ = self._took.get(None, (0.0, 0.0, 0))
        whole = weights + self._trusted
        return (took + self._trusted) / whole if whole > 0 else 1.0

    def expected(self, node: Node, shape: Shape) -> float | None:
        """Seconds of the whole node; None where nothing of its kind was measured."""
        if shape in self._took:
            took, _, count = self._took[shape]
            return took / count
        took, weights, _ = self._took.get(shape[0], (0.0, 0.0, 0))
        return node.weight * took / weights if weights > 0 else None


def shape(kind: str, payload: Mapping[str, Any], base: str) -> Shape:
    """What makes nodes take equally long: kind, options (not seeds and places), and the base.

    Args:
        base: fingerprint of the model that everything starts from; empty where there is none.
    """
    train = payload.get("train") or {}
    asked = payload.get("config") or {}
    name = str(train.get("kind") or asked.get("benchmark") or asked.get("probe") or "")
    return (kind, name), sha256_json([_without_places(payload), base])


def _without_places(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_places(v) for name, v in value.items() if name not in _PLACES}
    return [_without_places(v) for v in value] if isinstance(value, list | tuple) else value


def _base_of(name: str, known: Mapping[str, tuple[str, str, Iterable[str]]]) -> str:
    """Fingerprint of the base behind a result; `known`: kind, fingerprint and what it reads."""
    if name not in known:
        return ""
    kind, fingerprint, reads = known[name]
    return (
        fingerprint
        if kind == "base"
        else next(filter(None, (_base_of(r, known) for r in reads)), "")
    )


def history(nodes: Sequence[Node], store: Store) -> dict[Shape, list[float]]:
    """Seconds that results of the store took, by shape, for shapes of `nodes` that aren't done.

    What the graph's own results took is left to the events that tell of them.
    """
    keys = {node.key for node in nodes}
    left = {node.kind for node in nodes if not store.complete(*node.key)}
    markers: dict[str, dict[str, Any]] = {}
    for kind in left | ({"base", "stage"} if left else set()):
        paths = (store.root / kind).glob(f"*/{MARKER}")
        for path in heapq.nlargest(_NEWEST, paths, key=lambda path: path.stat().st_mtime):
            # One removed at this moment, or damaged, is told of where it is used.
            with contextlib.suppress(DataError):
                markers[path.parent.name] = read_json(path)
    known = {f: (str(m.get("kind")), f, m.get("inputs", {}).values()) for f, m in markers.items()}
    took: dict[Shape, list[float]] = {}
    for fingerprint, marker in markers.items():
        kind, seconds = known[fingerprint][0], marker.get("run", {}).get("seconds")
        if kind in left and (kind, fingerprint) not in keys and isinstance(seconds, int | float):
            of = shape(kind, marker.get("payload", {}), _base_of(fingerprint, known))
            took.setdefault(of, []).append(float(seconds))
    return took
