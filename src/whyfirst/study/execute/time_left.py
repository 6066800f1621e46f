"""How far a graph of work is and how long the rest will take: one estimate for all who show it.

A node is expected to take what nodes alike took (same kind, options and base: in this graph, or
any in the store), else what its kind took by weight. What the store knows may be of another machine
or of an idle one, so it counts by this run's pace: how much longer its parts take than the same
ones took then. Between two parts passes what passed between them so far. A node that runs is judged
by its own pace as soon as that says something, and then speaks for the waiting ones like it. Where
nothing of the kind was measured and the weights are no seconds, there is no estimate, rather than a
wrong one. Leaves out: showing it (`whyfirst.cli`).
"""

import contextlib
import heapq
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
_STEADY_S = 2.0  # so many seconds more on both sides: the pace of tiny parts is mostly noise
_SOON_S = 1.0  # before so long a node's pace is its start-up's
_NEWEST = 200  # markers of a kind that are read for what its nodes took
_CONFIDENT = 0.5  # this share of the work left must stand on something measured

Kind = tuple[str, ...]
Shape = tuple[Kind, str]
Sample = tuple[Shape, float, float]
"""Shape, weight and seconds of a node."""


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
        self._measured: dict[str, float] = {}
        self._reused_took: dict[str, float] = {}
        self._freed: float | None = None  # when a worker had nothing to do last
        self._gaps: list[float] = []
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
            if self._freed is not None and not waiting:
                self._gaps.append(self._clock() - self._freed)
                self._freed = None
            self.running[name] = Running(self._clock(), message=event.message, waiting=waiting)
        elif event.kind == "progress":
            run = self.running.setdefault(name, Running(self._clock() - event.seconds))
            run.step, run.total, run.message = event.step, event.total, event.message
        else:
            ended = self.running.pop(name, None)
            # Until its result is in the store it isn't done, and that takes time as well.
            if ended is not None and event.kind == "finished":
                event = replace(event, seconds=max(event.seconds, self._clock() - ended.begun))
            self._settle(name, event)

    def _settle(self, name: str, event: Event) -> None:
        if event.kind == "damaged":  # and so to be computed again
            self.done.discard(name)
            return
        if event.kind in ("failed", "incomplete"):
            self.failed[name] = event.message
            return
        self.done.add(name)
        if event.kind == "finished" and self._freed is None:
            self._freed = self._clock()
        self.reused += event.kind == "reused"
        if event.seconds > 0:
            took = self._reused_took if event.kind == "reused" else self._measured
            took[name] = event.seconds

    def seconds_left(self) -> float | None:
        """Estimate of the wall seconds to the end: all work shared by the workers, but at least
        the longest chain of nodes that need each other. None where nothing stands behind one."""
        samples = list(self._present())
        present, before = _Known(samples, self._in_seconds), _Known(self._before(), False)
        pace = _pace(samples, before)
        gap = sum(self._gaps) / len(self._gaps) if self._gaps else 0.0
        left, based = [], 0.0
        for node in self._order:
            seconds, measured = self._node_left(node, present, before, pace)
            waits = gap if seconds and node.id not in self.running else 0.0
            left.append(replace(node, weight=seconds + waits))
            based += seconds if measured else 0.0
        work = sum(node.weight for node in left)
        if not self._in_seconds and based < _CONFIDENT * work:
            return None
        return max(work / self._workers, max(remaining_path(left).values(), default=0.0))

    def _present(self) -> Iterator[Sample]:
        """What this run shows: nodes it finished, and those it is well into."""
        now = self._clock()
        for name, run in self.running.items():
            if run.share >= _TELLING and now - run.begun > _SOON_S:
                yield self._sample(name, (now - run.begun) / run.share)
        for name, seconds in self._measured.items():
            yield self._sample(name, seconds)

    def _before(self) -> Iterator[Sample]:
        """What the store shows, maybe of other machines: results reused, and of other studies."""
        for name, seconds in self._reused_took.items():
            yield self._sample(name, seconds)
        weights = {self._shapes[node.id]: node.weight for node in self._order}
        for one, times in self._past.items():
            yield from ((one, weights[one], seconds) for seconds in times if one in weights)

    def _sample(self, name: str, seconds: float) -> Sample:
        return self._shapes[name], self._nodes[name].weight, seconds

    def _node_left(
        self, node: Node, present: "_Known", before: "_Known", pace: float
    ) -> tuple[float, bool]:
        """Seconds a node still takes, and whether something measured says so."""
        if node.id in self.done or node.id in self.failed:
            return 0.0, True
        own = self._shapes[node.id]
        found = present.expected(node.weight, own)
        if found is None and (past := before.expected(node.weight, own)) is not None:
            found = pace * past
        measured = found is not None
        expected = found if found is not None else node.weight * present.scale
        run = self.running.get(node.id)
        if run is None:
            return expected, measured
        elapsed = self._clock() - run.begun
        # Past what was expected of it, a node may well take as long again.
        left = expected - elapsed if elapsed < expected else elapsed
        if run.share <= 0:
            return left, measured
        pace = elapsed * (1.0 - run.share) / run.share
        trust = min(1.0, run.share / _TELLING)
        return trust * pace + (1.0 - trust) * left, measured or trust >= 1.0


class _Known:
    """What nodes take, from samples: by shape, else by kind and weight, else by weight alone."""

    def __init__(self, samples: Iterable[Sample], in_seconds: bool) -> None:
        self._by_shape: dict[Shape, list[float]] = {}
        self._by_kind: dict[Kind, list[float]] = {}
        seconds = weights = _TRUSTED_S if in_seconds else 0.0
        for one, weight, took in samples:
            self._by_shape.setdefault(one, []).append(took)
            both = self._by_kind.setdefault(one[0], [0.0, 0.0])
            both[0], both[1] = both[0] + took, both[1] + weight
            seconds, weights = seconds + took, weights + weight
        self.scale = seconds / weights if weights > 0 else 1.0

    def expected(self, weight: float, of: Shape) -> float | None:
        """Seconds of a whole node; None where nothing of its kind was measured."""
        alike = self._by_shape.get(of)
        if alike:
            return sum(alike) / len(alike)
        took, weighed = self._by_kind.get(of[0], (0.0, 0.0))
        return weight * took / weighed if weighed > 0 else None


def _pace(present: Sequence[Sample], before: _Known) -> float:
    """How many times as long parts take now as parts like them took before; 1 where none is."""
    now = then = _STEADY_S
    for of, weight, seconds in present:
        usual = before.expected(weight, of)
        if usual is not None:
            now, then = now + seconds, then + usual
    return now / then


def shape(kind: str, payload: Mapping[str, Any], base: str) -> Shape:
    """What makes nodes take equally long: kind, options (not seeds and places), and the base.

    Args:
        base: fingerprint of the model that everything starts from; empty where there is none.
    """
    train = payload.get("train") or {}
    asked = payload.get("config") or {}
    name = str(train.get("kind") or asked.get("benchmark") or asked.get("probe") or "")
    return (kind, name), sha256_json([_without_places(payload), base])


_PLACES = ("seed", "world_seed", "path", "model", "corpora", "endpoint")


def _without_places(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_places(v) for name, v in value.items() if name not in _PLACES}
    return [_without_places(v) for v in value] if isinstance(value, list | tuple) else value


def _base_of(name: str, known: Mapping[str, tuple[str, str, Iterable[str]]]) -> str:
    """Fingerprint of the base behind a result; `known`: kind, fingerprint and what it reads."""
    if name not in known:
        return ""
    kind, fingerprint, reads = known[name]
    if kind == "base":
        return fingerprint
    return next(filter(None, (_base_of(read, known) for read in reads)), "")


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
