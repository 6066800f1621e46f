"""Share done and time left, against values worked out by hand."""

from pathlib import Path

import pytest

from whyfirst.study.cost import timing
from whyfirst.study.execute.executor import Event
from whyfirst.study.execute.graph import Node
from whyfirst.study.execute.store import Store
from whyfirst.study.execute.time_left import Tracker, history, shape


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
    """Reused results counted as work to do; once this run measures, their old pace counts less."""
    tracker = Tracker(pairs(2), workers=1)
    for name in ("s0", "e0"):
        tracker.take(Event("reused", name, seconds=900.0))
    assert (tracker.reused, tracker.share) == (2, pytest.approx(0.5))
    assert tracker.seconds_left() == pytest.approx(1800)  # all that is known of the kind
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


def staged(name: str, seed: int, updates: int = 40, base: str = "base") -> Node:
    payload = {"config": {"seed": seed}, "train": {"kind": "sft", "updates": updates}}
    return Node(name, "stage", f"{abs(hash(name)):024x}"[:24], (base,), payload, weight=4.0)


def real(count: int) -> list[Node]:
    """Stages of a real model, whose weights are no seconds."""
    return [node("base", "base", 1.0), *(staged(f"s{seed}", seed) for seed in range(count))]


def test_eight_minutes_are_called_21_seconds() -> None:
    """Nothing of a real model was measured, and the weights of a tiny one stood for seconds."""
    clock = Clock()
    tracker = Tracker(real(3), workers=1, clock=clock, in_seconds=False)
    assert tracker.seconds_left() is None
    tracker.take(Event("finished", "base", seconds=0.2))
    assert tracker.seconds_left() is None  # another kind's pace says nothing of a stage's
    tracker.take(Event("started", "s0"))
    clock.now = 48.0
    tracker.take(Event("progress", "s0", step=4, total=40))
    # A tenth of one stage took 48 s: 432 s are left of it, and the two like it take 480 s each.
    assert tracker.seconds_left() == pytest.approx(432 + 2 * 480)
    clock.now = 480.0
    tracker.take(Event("finished", "s0", seconds=480.0))
    assert tracker.seconds_left() == pytest.approx(960)


def test_a_node_that_outlasts_what_was_expected_has_nothing_left() -> None:
    clock = Clock()
    tracker = Tracker([node("s0")], workers=1, clock=clock)
    tracker.take(Event("started", "s0"))
    clock.now = 60.0  # of 10 expected, and it doesn't say how far it is
    assert tracker.seconds_left() == pytest.approx(60)


@pytest.mark.parametrize("bias", [0.25, 1.0, 4.0])
def test_from_the_tenth_part_on_the_estimate_is_off_by_more_than_twice(bias: float) -> None:
    """Ten stages and evaluations, weights wrong by `bias` for one kind, run times that scatter."""
    stages = [staged(f"s{seed}", seed) for seed in range(10)]
    evals = [
        Node(f"e{i}", "evaluation", f"{i:024x}", (f"s{i}",), {"config": {"benchmark": "b"}},
             weight=1.5 * bias) for i in range(10)
    ]  # fmt: skip
    took = {n.id: (200.0 if n.kind == "stage" else 60.0) * (0.8 + 0.04 * (i % 10))
            for i, n in enumerate([*stages, *evals])} | {"base": 1.0}  # fmt: skip
    clock = Clock()
    tracker = Tracker([node("base", "base", 1.0), *stages, *evals], workers=1, clock=clock,
                      in_seconds=False)  # fmt: skip
    order = ["base", *(f"{kind}{i}" for i in range(10) for kind in "se")]
    whole = sum(took.values())
    for name in order:
        tracker.take(Event("started", name))
        for step in (1, 5, 9):
            clock.now += took[name] / 10 * (step - (0 if step == 1 else step - 4))
            tracker.take(Event("progress", name, step=step, total=10))
            left, true = tracker.seconds_left(), whole - clock.now
            if clock.now > whole / 10 and true > whole / 20:
                assert left is not None and true / 2 < left < true * 2, (name, step, left, true)
        clock.now += took[name] / 10
        tracker.take(Event("finished", name, seconds=took[name]))
    assert tracker.seconds_left() == 0.0


@pytest.mark.parametrize("slower", [0.4, 1.0, 2.6])
def test_a_loaded_machine_is_taken_for_the_idle_one_of_the_history(slower: float) -> None:
    """It said 1:19 at a tenth of what took 3:22: what the store knew was of a quiet hour."""
    kinds = {"corpus": 2.0, "stage": 12.0, "evaluation": 5.0}
    nodes = [
        Node(f"{kind}{i}", kind, f"{kind[0]}{i}".encode().hex().zfill(24), (),
             {"config": {"benchmark": kind}}, weight=1.0)
        for kind in kinds for i in range(8)
    ]  # fmt: skip
    past = {shape(n.kind, n.payload, ""): [kinds[n.kind]] * 3 for n in nodes}
    clock = Clock()
    tracker = Tracker(nodes, workers=1, clock=clock, history=past)
    gap = 0.3 * slower  # until a result is kept and the next part begins
    whole = sum((kinds[n.kind] * slower + gap) for n in nodes)
    for one in nodes:
        tracker.take(Event("started", one.id))
        clock.now += kinds[one.kind] * slower
        tracker.take(Event("finished", one.id, seconds=kinds[one.kind] * slower))
        clock.now += gap
        left, true = tracker.seconds_left(), whole - clock.now
        if clock.now > whole / 10:
            assert left is not None and true / 2 <= left + 1 <= true * 2 + 1, (one.id, left, true)


def test_what_passes_between_two_parts_is_forgotten() -> None:
    """A study of many small parts spent a third of its time on starting and keeping them."""
    clock = Clock()
    tracker = Tracker([node(f"s{i}") for i in range(4)], workers=1, clock=clock)
    for name in ("s0", "s1"):
        tracker.take(Event("started", name))
        clock.now += 11.0  # of which the runner saw 10
        tracker.take(Event("finished", name, seconds=10.0))
        clock.now += 4.0
    tracker.take(Event("started", "s2"))
    # The third takes 11 s, as the others did; before the last one pass 4 s.
    assert tracker.seconds_left() == pytest.approx(11 + 4 + 11)


def test_what_another_study_of_the_same_model_took_is_not_known(tmp_path: Path) -> None:
    """The store has the seconds: another seed's count, another model's don't."""
    store = Store(tmp_path / "s")
    store.create()
    base, old = node("base", "base", 1.0), staged("old", 7)
    for one, seconds in ((base, 1.0), (old, 480.0)):
        store.prepare(*one.key)
        inputs = {base.id: base.fingerprint} if one is old else {}
        run = {"seconds": seconds, "peak_memory_mb": 1.0}
        store.finish(*one.key, {"payload": one.payload, "inputs": inputs, "run": run})
    new = staged("new", 0)
    past = history([base, new], store)
    tracker = Tracker([base, new], workers=1, history=past, in_seconds=False)
    tracker.take(Event("reused", "base", seconds=1.0))
    assert tracker.seconds_left() == pytest.approx(480)
    other = node("other", "base", 1.0)
    foreign = staged("foreign", 0, base="other")
    past = history([other, foreign], store)
    assert Tracker([other, foreign], 1, history=past, in_seconds=False).seconds_left() is None


def test_a_real_model_is_timed_at_every_look(tmp_path: Path) -> None:
    """One layer of it is run, once for a store; the next command reads what that gave."""
    store = Store(tmp_path / "s")  # not made yet: `plan` is a new user's first command
    config = {
        "model_type": "llama", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 4,
        "num_attention_heads": 2, "num_key_value_heads": 2, "vocab_size": 64,
    }  # fmt: skip
    assert timing._speed(config, store, 1, measure=False) is None
    found = timing._speed(config, store, 1, measure=True)
    assert found is not None and 1e6 < found < 1e15
    assert timing._speed(config, store, 1, measure=False) == found
    Store(tmp_path / "s")  # and `run`, the second one, still finds a store there
    assert timing._speed({"model_type": "no-such"}, store, 1, measure=True) is None
