"""How long a plan takes on this machine: what was measured, else a short timing of its model.

The embedded worlds' nodes are weighed in seconds already. A real model is timed once a store: one
of its layers with its vocabulary, untrained, on a few hundred tokens, in a process of its own that
has a worker's threads. That gives operations a second; what a node takes follows from its
operations. Leaves out: GPUs of other machines (`arithmetic`), endpoints, and generating, which is
bound by memory and slower (so evaluations are underestimated until the first was measured).
"""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from whyfirst.config.errors import UserError
from whyfirst.study.cost import arithmetic
from whyfirst.study.cost.estimate import Estimate, estimate
from whyfirst.study.execute.executor import Event
from whyfirst.study.execute.known import known
from whyfirst.study.execute.pool import device_kind, worker_environment
from whyfirst.study.execute.store import Store
from whyfirst.study.execute.time_left import Tracker, history
from whyfirst.study.plan import Plan

_ROWS, _ROW = 4, 128
# Of measuring, after a first pass that doesn't count: it compiles and fills caches.
_LEAST_S = 1.0
_MOST_S = 120.0
_START = "from whyfirst.study.cost.timing import main; main()"


def tracker_of(
    plan: Plan, store: Store, workers: int, *, measure: bool = False, cost: Estimate | None = None
) -> Callable[[], Tracker]:
    """Makes trackers of a plan's nodes, with all that is known of what they take.

    Args:
        workers: how many nodes run at a time.
        measure: time the model now if it wasn't; else only what the store knows counts.
        cost: the plan's estimate, where it was made already.
    """
    past, nodes = history(plan.nodes, store), plan.nodes
    seconds: dict[str, float] = {}
    # A world's base and a new one are small, and what is made of them is weighed in seconds.
    bases = (node.payload["config"] for node in nodes if node.kind == "base")
    in_seconds = all(config.get("source") != "pretrained" for config in bases)
    place = plan.model_place
    # What can't be counted or timed is told of by what can't do without.
    with contextlib.suppress(UserError):
        speed = None
        if not in_seconds and place is not None:
            revision = getattr(plan.study.model, "revision", None)
            config = arithmetic.model_config(place, revision)
            speed = _speed(config, store, workers, measure)
        if speed is not None:
            work = (cost or estimate(plan, store)).work
            seconds = {name: row.flops / speed for row in work for name in row.of}
    nodes = tuple(replace(node, weight=seconds.get(node.id, node.weight)) for node in nodes)
    in_seconds = in_seconds or bool(seconds)
    return lambda: Tracker(nodes, workers, history=past, in_seconds=in_seconds)


def seconds_left(plan: Plan, store: Store, workers: int, cost: Estimate) -> float | None:
    """What a run would say at its start: wall seconds from now to the end of the study."""
    tracker = tracker_of(plan, store, workers, measure=True, cost=cost)()
    for node in plan.nodes:
        marker = store.marker(*node.key)
        if marker is not None:
            took = float(marker.get("run", {}).get("seconds", 0.0))
            tracker.take(Event("reused", node.id, seconds=took))
    return tracker.seconds_left()


def _speed(config: dict[str, Any], store: Store, workers: int, measure: bool) -> float | None:
    """Operations a second in training, as the store has it or timed now; None where unknown."""
    environment = worker_environment(0, workers)
    of = [config, device_kind(), environment["OMP_NUM_THREADS"]]
    return known(
        store, "speed", of, float, lambda: _timed(config, environment) if measure else None
    )


def _timed(config: dict[str, Any], environment: dict[str, str]) -> float | None:
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", _START], input=json.dumps(config), capture_output=True,
            text=True, env=environment, timeout=_MOST_S, check=True,
        )  # fmt: skip
        return float(done.stdout.split()[-1])
    except (subprocess.SubprocessError, OSError, ValueError, IndexError):
        # An unusual model: it is measured as soon as its first node runs.
        return None


def main() -> None:
    """Time one layer of the model whose config is on standard input, and print the speed."""
    config = json.load(sys.stdin)
    print(flops_a_second(config))


def flops_a_second(config: dict[str, Any]) -> float:
    """Operations a second of training passes with a model of this config, cut to one layer."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    one_layer = {**config, "num_hidden_layers": 1, "n_layer": 1}
    shape = arithmetic.read_shape(one_layer)
    device = torch.device(device_kind())
    built = AutoConfig.for_model(**{k: v for k, v in one_layer.items() if k in config})
    model = AutoModelForCausalLM.from_config(built).to(device)
    ids = torch.randint(0, built.vocab_size, (_ROWS, _ROW), device=device)
    passes, begin = -1, 0.0
    while passes < 1 or time.perf_counter() - begin < _LEAST_S:
        loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        # Waits for the device, which computes on its own time.
        float(loss.detach())
        if passes < 0:
            begin = time.perf_counter()
        passes += 1
    spent = time.perf_counter() - begin
    return passes * arithmetic.training_flops(shape, _ROWS * _ROW, _ROW) / spent
