"""The executor on Ray: real local clusters (slow), and everything that needs none (fast)."""

import builtins
import contextlib
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from executor_helpers import (
    HERE,
    MAIN,
    alive,
    diamond,
    make_node,
    noted,
    noted_pids,
    outcome_of,
    result_bytes,
    wait_until,
    wide,
)
from store_checks import verify

from whyfirst.config.errors import ConfigError
from whyfirst.config.files import read_json
from whyfirst.study.execute import ray_worker
from whyfirst.study.execute.executor import Event, Outcome, run_graph
from whyfirst.study.execute.graph import Node
from whyfirst.study.execute.pool import THREAD_VARIABLES
from whyfirst.study.execute.ray_executor import RayWorkers, declared
from whyfirst.study.execute.store import Store

ON_RAY = (
    MAIN.replace(
        "from whyfirst.study.execute.store import Store\n",
        "from whyfirst.study.execute.store import Store\n"
        "import functools\nfrom whyfirst.study.execute.ray_executor import RayWorkers\n",
    )
    .replace(
        "        on_event=",
        "        open_workers=functools.partial(RayWorkers, Store(Path(job['store'])),"
        " job['runner'], job['workers'], job['address']),\n        on_event=",
    )
    .replace("event.node_id, flush", "event.node_id, event.message, flush")
)


def task(store: Store, node: Node, runner: str = "run", **more: Any) -> ray_worker.Task:
    """What the executor would send for a node without inputs."""
    fields: dict[str, Any] = {
        "number": 1, "node": node.to_json(), "inputs": {}, "runner": f"executor_runners:{runner}",
        "root": str(store.root), "token": str(store.root / "STORE.json"), "held": False,
        "search_path": [str(HERE)], "environment": {},
        "versions": ray_worker.package_versions(["numpy"]), "cpus": 1, "gpus": 0,
    }  # fmt: skip
    return ray_worker.Task(**{**fields, **more})


@pytest.fixture
def posted() -> Iterator[list[dict[str, Any]]]:
    """What tasks said on their way; `posted.box` would be Ray's handle of the mailbox."""
    with pytest.MonkeyPatch.context() as patch:
        for name in (*THREAD_VARIABLES, "CUDA_VISIBLE_DEVICES"):
            patch.setenv(name, os.environ.get(name, ""))
        yield []


def mailbox(posted: list[dict[str, Any]]) -> Any:
    post = SimpleNamespace(remote=lambda number, reply: posted.append(reply))
    return SimpleNamespace(post=post)


def test_a_task_that_sees_the_store_works_in_it(tmp_path: Path, posted: list[Any]) -> None:
    store, node = Store(tmp_path / "s"), make_node("one", tmp_path / "notes", steps=2)
    store.create()
    reply = ray_worker.work(task(store, node), mailbox(posted), None)
    assert reply["type"] == "finished" and verify(store, *node.key) == []
    assert posted[0]["type"] == "started" and posted[-1]["step"] == 2
    assert ray_worker.work(task(store, node), mailbox(posted), None) == {"type": "exists"}


def test_a_node_that_another_process_holds_is_computed_twice(
    tmp_path: Path, posted: list[Any]
) -> None:
    store, node = Store(tmp_path / "s"), make_node("one", tmp_path / "notes")
    store.create()
    with contextlib.ExitStack() as held:
        assert store.hold(*node.key, held) == ""
        assert ray_worker.work(task(store, node), mailbox(posted), None) == {"type": "locked"}


def test_a_result_computed_elsewhere_differs_from_one_computed_here(
    tmp_path: Path, posted: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine without the store says so, then gets the inputs and hands its files back."""
    here, store = Store(tmp_path / "here"), Store(tmp_path / "s")
    base, left, right, top = diamond(tmp_path / "notes")
    nodes = [base, left, right, top]
    run_graph(nodes, here, workers=1, runner="executor_runners:run")
    store.create()
    for done in (left, right):
        folder = store.folder(*done.key)
        ray_worker.unpack(ray_worker.pack(here.folder(*done.key)), folder)
    away = {"inputs": {n.id: n.key for n in (left, right)}, "token": str(tmp_path / "nothing")}
    asked = task(store, top, **away)
    assert ray_worker.work(asked, mailbox(posted), None) == {"type": "unshared"}
    import_ray = SimpleNamespace(get=lambda files: files)
    monkeypatch.setitem(sys.modules, "ray", import_ray)
    shipped = {n.id: ray_worker.pack(store.folder(*n.key)) for n in (left, right)}
    before = set(Path("/tmp").glob("whyfirst-*"))
    reply = ray_worker.work(asked, mailbox(posted), shipped)
    assert set(Path("/tmp").glob("whyfirst-*")) == before  # nothing is left on the machine
    # What a killed attempt left here must not get into the result.
    (store.folder(*top.key) / "checkpoints").mkdir(parents=True)
    store.adopt(*top.key, reply["files"])
    assert verify(store, *top.key) == []
    ours = read_json(store.folder(*top.key) / "result.json")
    assert ours == read_json(here.folder(*top.key) / "result.json")
    assert not (store.folder(*top.key) / "checkpoints").exists()


def test_a_machine_with_other_versions_gives_a_result(tmp_path: Path, posted: list[Any]) -> None:
    store, node = Store(tmp_path / "s"), make_node("one", tmp_path / "notes")
    store.create()
    reply = ray_worker.work(
        task(store, node, versions={"numpy": "1.0"}), mailbox(posted), None
    )  # fmt: skip
    assert reply["type"] == "failed" and "and not 1.0" in reply["message"]
    assert not store.folder(*node.key).exists()


def test_a_build_of_torch_counts_as_another_version() -> None:
    assert "+" not in ray_worker.package_versions(["torch"])["torch"]


@pytest.mark.parametrize(
    ("kind", "payload", "expected"),
    [
        ("step", {}, {"num_cpus": 1, "num_gpus": 0}),
        ("evaluation", {"config": {"device": "cuda"}}, {"num_cpus": 1, "num_gpus": 1}),
        ("match", {"config": {}, "train": {"processes": 4}}, {"num_cpus": 1, "num_gpus": 0}),
        ("stage", {"config": {"device": "cpu"}, "train": {"processes": 4}},
         {"num_cpus": 4, "num_gpus": 0}),
        ("stage", {"config": {"device": "cuda"},
                   "train": {"processes": 2, "cpus": 8, "memory_gb": 1.5}},
         {"num_cpus": 8, "num_gpus": 2, "memory": 1_500_000_000}),
    ],
)  # fmt: skip
def test_a_stage_gets_other_resources_than_it_declares(
    kind: str, payload: dict[str, Any], expected: dict[str, float]
) -> None:
    assert declared(Node("n", kind, "0" * 24, payload=payload)) == expected


def open_ray(store: Store, address: str | None, runner: str = "run", limit: int = 2) -> Any:
    return functools.partial(RayWorkers, store, f"executor_runners:{runner}", limit, address)


def test_an_address_where_nothing_listens_hangs(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="ray is not installed")
    with socket.socket() as bound:  # taken and not listening
        bound.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{bound.getsockname()[1]}"
        begin = time.monotonic()
        with pytest.raises(ConfigError, match=f"no Ray cluster at {address}: .*ray start --head"):
            go([make_node("n", tmp_path / "notes")], Store(tmp_path / "s"), address=address)
        assert time.monotonic() - begin < 10
    for wrong in ("here", "ray://head:10001", "head:port"):
        with pytest.raises(ConfigError, match="give HOST:PORT"):
            go([make_node("n", tmp_path / "notes")], Store(tmp_path / "s"), address=wrong)


def test_a_missing_ray_is_a_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *more: Any) -> Any:
        if name == "ray":
            raise ImportError(name)
        return real(name, *more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=r"pip install 'whyfirst\[ray\]'"):
        go([make_node("n", tmp_path / "notes")], Store(tmp_path / "s"))


def go(
    nodes: list[Node],
    store: Store,
    runner: str = "run",
    address: str | None = None,
    on_event: Callable[[Event], None] = lambda event: None,
    limit: int = 2,
) -> Outcome:
    return run_graph(
        nodes, store, workers=1, runner=f"executor_runners:{runner}", on_event=on_event,
        open_workers=open_ray(store, address, runner, limit),
    )  # fmt: skip


# -- on real clusters ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A cluster of a head, which computes nothing, and two machines of one core."""
    pytest.importorskip("ray", reason="ray is not installed")
    from ray.cluster_utils import Cluster

    small = {"object_store_memory": 80 * 2**20}
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **small})
    made.spare = small
    made.machines = [made.add_node(num_cpus=1, **small) for _ in range(2)]
    made.wait_for_nodes()
    yield made
    made.shutdown()


def start_on(
    cluster: Any, tmp_path: Path, nodes: list[Node], store: Path, runner: str = "run"
) -> "subprocess.Popen[str]":
    """Run the graph on the cluster from a process of its own."""
    job = tmp_path / f"job-{time.monotonic_ns()}.json"
    about = {
        "nodes": [node.to_json() for node in nodes], "store": str(store), "workers": 4,
        "runner": f"executor_runners:{runner}", "address": cluster.address,
    }  # fmt: skip
    job.write_text(json.dumps(about))
    return subprocess.Popen(
        [sys.executable, "-c", ON_RAY, str(job)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env={**os.environ, "PYTHONPATH": str(HERE)}, start_new_session=True,
    )  # fmt: skip


@pytest.mark.slow
def test_ray_computes_other_results_than_this_machines_processes(
    cluster: Any, tmp_path: Path
) -> None:
    nodes = diamond(tmp_path / "notes", steps=2)
    run_graph(nodes, Store(tmp_path / "here"), workers=1, runner="executor_runners:run")
    store, events = Store(tmp_path / "s"), list[Event]()
    bad = [make_node(how, tmp_path / "notes", how=how) for how in ("user", "bug")]
    outcome = go([*nodes, *bad], store, "misbehave", cluster.address, events.append)
    assert sorted(outcome.computed) == ["base", "left", "right", "top"]
    assert result_bytes(store.root)  # and the two that failed left nothing complete
    for node in nodes:
        assert verify(store, *node.key) == []
        ours, theirs = (
            s.folder(*node.key) / "result.json" for s in (store, Store(tmp_path / "here"))
        )
        assert ours.read_bytes() == theirs.read_bytes()
    log = store.log_path(*bad[1].key)
    assert outcome.failed == {
        "user": "data.jsonl: row 3: no prompt; add one",
        "bug": f"KeyError: 'surprise' (traceback: {log})",
    }
    assert "about to fail" in log.read_text()
    of_top = [event.kind for event in events if event.node_id == "top"]
    assert of_top[0] == "started" and of_top[-1] == "finished"
    assert not list(store.root.rglob(".ray-*"))
    again = go(nodes, store, address="127.0.0.1:1")  # complete: nobody is asked
    assert again.computed == [] and len(again.reused) == 4


@pytest.mark.slow
def test_machines_without_the_store_give_other_results(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = diamond(tmp_path / "notes")
    run_graph(nodes, Store(tmp_path / "here"), workers=1, runner="executor_runners:run")
    enter = RayWorkers.__enter__

    def blind(workers: RayWorkers) -> RayWorkers:
        """As on machines that don't see the store's folder."""
        enter(workers)
        workers._token.unlink()
        return workers

    monkeypatch.setattr(RayWorkers, "__enter__", blind)
    store = Store(tmp_path / "s")
    bad = make_node("bad", tmp_path / "notes", how="bug")
    outcome = go([*nodes, bad], store, "misbehave", cluster.address)
    assert sorted(outcome.computed) == ["base", "left", "right", "top"]
    log = store.log_path(*bad.key)  # of another folder there
    assert outcome.failed == {"bad": f"KeyError: 'surprise' (traceback: {log})"}
    assert "about to fail" in log.read_text()
    assert all(verify(store, *node.key) == [] for node in nodes)
    assert result_bytes(store.root) == result_bytes(tmp_path / "here")


@pytest.mark.slow
def test_a_killed_worker_costs_more_than_the_node_it_ran(cluster: Any, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    nodes = wide(notes, 3, steps=6, sleep=0.3)
    process = start_on(cluster, tmp_path, nodes, tmp_path / "s")
    wait_until(lambda: len(noted(notes, "step")) >= 4, 60)
    os.kill(noted_pids(notes, "run")[0], signal.SIGKILL)
    assert sorted(outcome_of(process)["computed"]) == sorted(node.id for node in nodes)
    runs = noted(notes, "run")
    assert len(runs) == len(nodes) + 1  # one node ran twice,
    assert len(noted(notes, "step")) <= 6 * len(nodes) + 1  # and went on where it was


@pytest.mark.slow
def test_a_removed_machine_costs_more_than_the_node_it_ran(cluster: Any, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    nodes = wide(notes, 4, steps=6, sleep=0.4)
    process = start_on(cluster, tmp_path, nodes, tmp_path / "s")
    wait_until(lambda: len(noted(notes, "step")) >= 4, 60)
    cluster.remove_node(cluster.machines.pop(), allow_graceful=False)
    try:
        output, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        assert "again: its machine left the Ray cluster" in output
        computed = json.loads(output.splitlines()[-1])["computed"]
        assert sorted(computed) == sorted(node.id for node in nodes)
    finally:
        cluster.machines.append(cluster.add_node(num_cpus=1, **cluster.spare))
    assert len(noted(notes, "run")) == len(nodes) + 1
    assert len(noted(notes, "step")) <= 6 * len(nodes) + 1
    assert all(verify(Store(tmp_path / "s"), *node.key) == [] for node in nodes)


@pytest.mark.slow
def test_ctrl_c_leaves_tasks_running_or_a_state_that_cannot_go_on(
    cluster: Any, tmp_path: Path
) -> None:
    notes = tmp_path / "notes"
    nodes = wide(notes, 2, steps=12, sleep=0.3)
    process = start_on(cluster, tmp_path, nodes, tmp_path / "s")
    wait_until(lambda: len(set(noted(notes, "step"))) == 2, 60)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0 and "KeyboardInterrupt" in errors
    wait_until(lambda: not any(alive(pid) for pid in noted_pids(notes, "run")), 30)
    done = len(noted(notes, "step"))
    outcome = outcome_of(start_on(cluster, tmp_path, nodes, tmp_path / "s"))
    assert sorted(outcome["computed"]) == sorted(node.id for node in nodes)
    assert len(noted(notes, "step")) <= 3 * 12 + 2 and done >= 2


@pytest.mark.slow
def test_a_node_no_machine_can_run_waits_without_a_word(cluster: Any, tmp_path: Path) -> None:
    """Alone it fails at once; on a cluster, which may grow, it says what it waits for."""
    train = {"processes": 64}
    node = make_node("huge", tmp_path / "notes")
    node = Node("huge", "stage", node.fingerprint, payload={**node.payload, "train": train})

    class _SaidError(Exception):
        pass

    def listen(event: Event) -> None:
        raise _SaidError(event.kind, event.message)

    with pytest.raises(_SaidError, match=r"waiting.*no machine .*CPU 64"):
        go([node], Store(tmp_path / "s"), address=cluster.address, on_event=listen)
