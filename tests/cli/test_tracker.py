"""Share done and time left, against values worked out by hand."""

import pytest

from whyfirst.cli.tracker import Tracker
from whyfirst.study.execute.executor import Event
from whyfirst.study.execute.graph import Node


class Clock:
    """Seconds that pass when told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def node(name: str, kind: str = "stage", weight: float = 10.0, *depends: str) -> Node:
    return Node(name, kind, f"{abs(hash(name)):024x}"[:24], depends, weight=weight)


def pairs(count: int) -> list[Node]:
    """`count` stages of weight 10, each with an evaluation of weight 5 behind it."""
    stages = [node(f"s{index}") for index in range(count)]
    return stages + [node(f"e{i}", "evaluation", 5.0, f"s{i}") for i in range(count)]


def test_before_anything_the_written_weights_are_the_estimate() -> None:
    """The first estimate was missing or ignored that workers share the work."""
    assert Tracker(pairs(4), workers=1).seconds_left() == pytest.approx(60)
    assert Tracker(pairs(4), workers=2).seconds_left() == pytest.approx(30)


def test_the_longest_chain_bounds_the_time_left() -> None:
    """With workers to spare the estimate went below what the chain alone takes."""
    assert Tracker(pairs(4), workers=100).seconds_left() == pytest.approx(15)


def test_measured_seconds_replace_the_written_ones_for_their_kind() -> None:
    """The estimate stayed at the weights although stages took twice as long."""
    clock = Clock()
    tracker = Tracker(pairs(3), workers=1, clock=clock)
    tracker.take(Event("started", "s0"))
    clock.now = 20.0
    tracker.take(Event("finished", "s0", seconds=20.0))
    # Two stages at the measured 20 s; three evaluations at 5 s, scaled by (10+20)/(10+10).
    assert tracker.seconds_left() == pytest.approx(2 * 20 + 3 * 5 * 1.5)


def test_a_running_node_s_own_pace_counts() -> None:
    """A node three quarters through was counted as not begun."""
    clock = Clock()
    tracker = Tracker([node("s0")], workers=1, clock=clock)
    tracker.take(Event("started", "s0"))
    clock.now = 4.0
    assert tracker.seconds_left() == pytest.approx(6)
    clock.now = 30.0
    tracker.take(Event("progress", "s0", step=75, total=100, seconds=30.0))
    assert tracker.seconds_left() == pytest.approx(10)
    assert tracker.share == pytest.approx(0.75)


def test_reused_and_failed_nodes_are_settled() -> None:
    """Reused results counted as work to do, or their old durations as this machine's pace."""
    tracker = Tracker(pairs(2), workers=1)
    for name in ("s0", "e0"):
        tracker.take(Event("reused", name, seconds=900.0))
    assert (tracker.reused, tracker.share) == (2, pytest.approx(0.5))
    assert tracker.seconds_left() == pytest.approx(15)
    tracker.take(Event("failed", "s1", message="no"))
    tracker.take(Event("failed", "e1", message="not run: needs s1, which failed"))
    assert tracker.share == pytest.approx(1.0)
    assert tracker.seconds_left() == 0.0


def test_a_node_that_starts_again_falls_back() -> None:
    """A retried node kept the dead attempt's share."""
    tracker = Tracker([node("s0")], workers=1)
    tracker.take(Event("started", "s0"))
    tracker.take(Event("progress", "s0", step=9, total=10))
    tracker.take(Event("started", "s0", message="again: its worker process was killed"))
    assert tracker.share == 0.0
    assert tracker.running["s0"].message.startswith("again")


def test_steps_beyond_the_total_and_unknown_totals_are_harmless() -> None:
    """A runner that counts wrongly pushed the bar past its end or divided by zero."""
    tracker = Tracker([node("s0"), node("s1")], workers=1)
    tracker.take(Event("progress", "s0", step=30, total=10))
    tracker.take(Event("progress", "s1", step=30, total=0))
    assert tracker.share == pytest.approx(0.5)
    assert tracker.seconds_left() == pytest.approx(10, abs=0.1)
