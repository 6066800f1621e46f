"""How far a study is and how long it will take, from its nodes and the executor's events.

Leaves out: showing it (`progress`).
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from whyfirst.study.execute.executor import Event
from whyfirst.study.execute.graph import Node, check_graph, remaining_path

_TRUSTED_S = 10.0  # the nodes' written weights count as much as this many measured seconds
_TELLING = 0.1  # from this share on, a node's own pace says more than its kind's


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
    """

    def __init__(
        self, nodes: Sequence[Node], workers: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._order = check_graph(nodes)
        self._nodes = {node.id: node for node in self._order}
        self._workers = workers
        self._clock = clock
        self._measured: dict[tuple[str, float], list[float]] = {}
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
            self._settle(name, event)

    def _settle(self, name: str, event: Event) -> None:
        if event.kind == "damaged":  # and so to be computed again
            self.done.discard(name)
            return
        if event.kind in ("failed", "incomplete"):
            self.failed[name] = event.message
            return
        self.done.add(name)
        if event.kind == "reused":
            self.reused += 1
        else:
            self._measured.setdefault(_class(self._nodes[name]), []).append(event.seconds)

    def seconds_left(self) -> float:
        """Estimate of the wall seconds to the end: all work shared by the workers, but at least
        the longest chain of nodes that need each other."""
        left = [replace(node, weight=self._node_left(node)) for node in self._order]
        work = sum(node.weight for node in left)
        return max(work / self._workers, max(remaining_path(left).values(), default=0.0))

    def _node_left(self, node: Node) -> float:
        if node.id in self.done or node.id in self.failed:
            return 0.0
        expected = self._expected(node)
        run = self.running.get(node.id)
        if run is None:
            return expected
        elapsed = self._clock() - run.begun
        if run.share >= _TELLING:
            return elapsed * (1.0 - run.share) / run.share
        return max(0.0, expected - elapsed)

    def _expected(self, node: Node) -> float:
        alike = self._measured.get(_class(node))
        if alike:
            return sum(alike) / len(alike)
        return node.weight * self._scale()

    def _scale(self) -> float:
        """Measured seconds for each second of weight, over all nodes finished so far."""
        weights = sum(weight * len(times) for (_, weight), times in self._measured.items())
        seconds = sum(sum(times) for times in self._measured.values())
        return (_TRUSTED_S + seconds) / (_TRUSTED_S + weights)


def _class(node: Node) -> tuple[str, float]:
    """Nodes that should take equally long: of one kind, with one weight."""
    return node.kind, node.weight
