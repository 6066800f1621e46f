"""The executor against the world: SIGKILL, Ctrl-C, a second process, full and read-only disks."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from executor_helpers import (
    alive,
    diamond,
    make_node,
    noted,
    noted_pids,
    outcome_of,
    remount,
    result_bytes,
    start_run,
    wait_until,
    wide,
)
from store_checks import artifacts, verify

from whyfirst.config.errors import StoreError
from whyfirst.study.execute.executor import Event, run_graph
from whyfirst.study.execute.graph import Node
from whyfirst.study.execute.store import Store


def go(nodes: list[Node], store: Store, runner: str = "run") -> list[str]:
    return run_graph(nodes, store, workers=1, runner=f"executor_runners:{runner}").computed


def test_killed_executor_leaves_no_worker_and_the_next_run_continues(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    node = make_node("long", notes, steps=5, sleep=0.3)
    process = start_run(tmp_path, [node], tmp_path / "s", runner="with_child")
    wait_until(lambda: len(noted(notes, "step")) >= 2)
    worker, child = noted_pids(notes, "run")[0], noted_pids(notes, "child")[0]
    assert alive(worker) and alive(child)
    process.kill()
    process.communicate()
    wait_until(lambda: not alive(worker) and not alive(child), 5)
    done = len(noted(notes, "step"))
    assert not Store(tmp_path / "s").complete(*node.key)
    assert go([node], Store(tmp_path / "s")) == ["long"]
    assert len(noted(notes, "step")) <= max(done, 2) + 3 + 1  # resumed, at most one step redone


def test_ctrl_c_stops_workers_and_their_children_and_can_be_continued(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    nodes = diamond(notes, steps=3, sleep=0.2)
    process = start_run(tmp_path, nodes, tmp_path / "s", workers=2, runner="with_child")
    wait_until(lambda: len(set(noted(notes, "run"))) >= 3)
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=10)
    assert time.monotonic() - begin < 3
    assert "KeyboardInterrupt" in errors and process.returncode != 0
    pids = noted_pids(notes, "run") + noted_pids(notes, "child")
    wait_until(lambda: not any(alive(pid) for pid in pids), 3)
    outcome = outcome_of(start_run(tmp_path, nodes, tmp_path / "s", workers=2))
    assert "base" in outcome["reused"] and outcome["computed"][-1] == "top"


def test_two_processes_on_one_store_compute_everything_once(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    nodes = wide(notes, 6, steps=2, sleep=0.05)
    runs = [start_run(tmp_path, nodes, tmp_path / "s", workers=2) for _ in range(2)]
    outcomes = [outcome_of(run) for run in runs]
    assert sorted(noted(notes, "run")) == sorted(node.id for node in nodes)
    assert sorted(outcomes[0]["computed"] + outcomes[1]["computed"]) == sorted(noted(notes, "run"))
    for outcome in outcomes:
        assert len(outcome["computed"]) + len(outcome["reused"]) == 7 and not outcome["failed"]
    assert all(verify(Store(tmp_path / "s"), *node.key) == [] for node in nodes)


def test_locked_node_is_left_while_other_work_is_done(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    slow = make_node("slow", notes, sleep=2.0, weight=9.0)
    first = start_run(tmp_path, [slow], tmp_path / "s")
    wait_until(lambda: noted(notes, "run"))
    quick = [make_node(f"quick{index}", notes) for index in range(3)]
    kinds: list[tuple[str, str]] = []
    outcome = run_graph(
        [slow, *quick],
        Store(tmp_path / "s"),
        workers=1,
        runner="executor_runners:run",
        on_event=lambda event: kinds.append((event.kind, event.node_id)),
    )
    assert outcome.computed == [node.id for node in quick] and outcome.reused == ["slow"]
    assert kinds[0] == ("waiting", "slow") and kinds[-1] == ("reused", "slow")
    assert kinds.count(("waiting", "slow")) == 1
    assert outcome_of(first)["computed"] == ["slow"]


def test_waiting_process_takes_over_when_the_computing_one_is_killed(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    node = make_node("slow", notes, steps=8, sleep=0.25)
    first = start_run(tmp_path, [node], tmp_path / "s")
    wait_until(lambda: noted(notes, "step"))
    second = start_run(tmp_path, [node], tmp_path / "s")
    assert second.stdout is not None
    assert second.stdout.readline() == "waiting slow\n"
    first.kill()
    first.communicate()
    assert outcome_of(second)["computed"] == ["slow"]
    assert len(noted(notes, "run")) == 2 and len(noted(notes, "step")) <= 9


def kill_at_random(tmp_path: Path, kills: int, seed: int) -> None:
    rng = random.Random(seed)
    notes = tmp_path / "notes"
    nodes = diamond(notes, steps=4, sleep=0.03)
    go(nodes, Store(tmp_path / "unbroken"))
    store = tmp_path / "s"
    for _ in range(kills):
        process = start_run(tmp_path, nodes, store, workers=2)
        time.sleep(rng.uniform(0.05, 0.9))
        process.kill()
        process.communicate()
        if len(list(artifacts(Store(store)))) == len(nodes):
            shutil.rmtree(store)
    outcome = outcome_of(start_run(tmp_path, nodes, store, workers=2))
    assert not outcome["failed"] and len(outcome["computed"] + outcome["reused"]) == 4
    assert result_bytes(store) == result_bytes(tmp_path / "unbroken")


def test_results_are_the_same_bytes_after_random_kills(tmp_path: Path) -> None:
    kill_at_random(tmp_path, kills=6, seed=1)


@pytest.mark.slow
def test_results_are_the_same_bytes_after_many_random_kills(tmp_path: Path) -> None:
    kill_at_random(tmp_path, kills=50, seed=2)


def test_worker_killed_from_outside_is_replaced(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    node = make_node("long", notes, steps=4, sleep=0.2)
    process = start_run(tmp_path, [node], tmp_path / "s")
    wait_until(lambda: noted(notes, "step"))
    os.kill(noted_pids(notes, "run")[0], signal.SIGKILL)
    assert outcome_of(process)["computed"] == ["long"]
    assert len(set(noted_pids(notes, "run"))) == 2 and len(noted(notes, "step")) <= 5


@pytest.mark.parametrize("how", ["fill", "wrapped-fill"])
def test_full_disk_stops_the_run_and_keeps_what_is_complete(
    tmp_path: Path,
    tiny_disk: Path,
    how: str,
) -> None:
    notes = tmp_path / "notes"
    good = make_node("good", notes)
    bad = make_node("bad", notes, [good], how=how)
    store = Store(tiny_disk / "s")
    with pytest.raises(StoreError, match=r"No space left on device.*run the same command again"):
        go([good, bad], store, "misbehave")
    assert verify(store, *good.key) == [] and not store.complete(*bad.key)
    remount(tiny_disk, "size=8m")
    mended = Node(bad.id, bad.kind, bad.fingerprint, bad.depends, {"notes": str(notes)})
    outcome = run_graph([good, mended], store, workers=1, runner="executor_runners:run")
    assert (outcome.reused, outcome.computed) == (["good"], ["bad"])


def test_read_only_store_refuses_new_work_and_still_reads(
    tmp_path: Path,
    tiny_disk: Path,
) -> None:
    notes = tmp_path / "notes"
    good, more = make_node("good", notes), make_node("more", notes)
    store = Store(tiny_disk / "s")
    go([good], store)
    remount(tiny_disk, "ro")
    assert run_graph([good], store, workers=1, runner="x:y").reused == ["good"]
    with pytest.raises(StoreError, match="Read-only file system"):
        go([good, more], store)


def test_folder_that_turns_read_only_under_a_running_node_is_a_store_error(tmp_path: Path) -> None:
    node = make_node("n", tmp_path / "notes", steps=3, sleep=0.3)
    store = Store(tmp_path / "s")
    folder = store.folder(*node.key)

    def freeze(event: Event) -> None:
        # The permission bits don't bind root, the immutable flag does.
        if event.kind == "progress":
            command = ["chattr", "+i", str(folder)]
            frozen.append(subprocess.run(command, capture_output=True).returncode == 0)

    frozen: list[bool] = []
    try:
        with contextlib.suppress(StoreError):
            run_graph([node], store, workers=1, runner="executor_runners:run", on_event=freeze)
            if not frozen[0]:
                pytest.skip("chattr +i needs root and a file system that knows it")
            pytest.fail("a frozen folder went unnoticed")
    finally:
        subprocess.run(["chattr", "-i", str(folder)], capture_output=True)
    assert not store.complete(*node.key)
    assert go([node], store) == ["n"]
