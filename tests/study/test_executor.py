"""The executor in one process: order, reuse, failures, events, the workers' surroundings."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from executor_helpers import diamond, make_node, noted, wide
from store_checks import verify

from whyfirst.config.errors import StoreError, UserError
from whyfirst.config.files import read_json, write_json
from whyfirst.study.execute.executor import Event, Outcome, run_graph
from whyfirst.study.execute.graph import Node
from whyfirst.study.execute.pool import Pool, available_cores, worker_environment
from whyfirst.study.execute.store import Store


def go(
    nodes: list[Node],
    store: Store,
    workers: int = 1,
    runner: str = "run",
    on_event: Callable[[Event], None] = lambda event: None,
) -> Outcome:
    return run_graph(
        nodes, store, workers=workers, runner=f"executor_runners:{runner}", on_event=on_event
    )


def test_graph_is_computed_in_order_with_inputs_by_id(tmp_path: Path) -> None:
    store, nodes = Store(tmp_path / "s"), diamond(tmp_path / "notes")
    outcome = go(nodes[::-1], store, workers=2)
    assert outcome.failed == {} and outcome.reused == []
    assert outcome.computed[0] == "base" and outcome.computed[-1] == "top"
    result = read_json(store.folder(*nodes[3].key) / "result.json")
    assert result == {"total": 5, "inputs": ["left", "right"]}  # 1 + (1 + 1) + (1 + 1)
    assert set(outcome.seconds) == set(outcome.peak_memory_mb) == {node.id for node in nodes}
    assert all(5 < size < 500 for size in outcome.peak_memory_mb.values())
    assert outcome.memory_mb_peak is not None and outcome.memory_mb_peak > 5
    assert all(verify(store, *node.key) == [] for node in nodes)


def test_finished_graph_starts_no_process_and_needs_no_write_access(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, nodes = Store(tmp_path / "s"), diamond(tmp_path / "notes")
    first = go(nodes, store)
    before = {path: path.stat().st_mtime_ns for path in store.root.rglob("*")}
    monkeypatch.setattr(subprocess, "Popen", None)
    again = go(nodes, Store(tmp_path / "s"))
    assert again.computed == [] and sorted(again.reused) == sorted(first.computed)
    assert again.seconds == first.seconds  # as recorded, so that the cost of a study stays known
    assert {path: path.stat().st_mtime_ns for path in store.root.rglob("*")} == before


def test_finished_graph_imports_nothing_heavy(tmp_path: Path) -> None:
    store, nodes = Store(tmp_path / "s"), diamond(tmp_path / "notes")
    go(nodes, store)
    code = (
        "import sys, json; from pathlib import Path\n"
        "from whyfirst.study.execute.graph import Node\n"
        "from whyfirst.study.execute.executor import run_graph\n"
        "from whyfirst.study.execute.store import Store\n"
        "nodes = [Node.from_json(node) for node in json.loads(sys.argv[2])]\n"
        "out = run_graph(nodes, Store(Path(sys.argv[1])), workers=1, runner='no:such')\n"
        "heavy = {'torch', 'transformers', 'numpy', 'scipy', 'pydantic', 'filelock'}\n"
        "assert len(out.reused) == 4 and not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    import json

    described = json.dumps([node.to_json() for node in nodes])
    subprocess.run([sys.executable, "-c", code, str(store.root), described], check=True)


def test_only_what_is_new_is_computed(tmp_path: Path) -> None:
    store, notes = Store(tmp_path / "s"), tmp_path / "notes"
    nodes = diamond(notes)
    go(nodes, store)
    extra = make_node("extra", notes, [nodes[3]])
    outcome = go([*nodes, extra], store)
    assert outcome.computed == ["extra"] and len(outcome.reused) == 4


def test_same_work_under_two_names_is_done_once(tmp_path: Path) -> None:
    store, notes = Store(tmp_path / "s"), tmp_path / "notes"
    one = make_node("one", notes, sleep=0.2)
    two = Node("two", one.kind, one.fingerprint, (), one.payload)
    outcome = go([one, two], store, workers=2)
    assert (len(outcome.computed), len(outcome.reused)) == (1, 1)
    assert len(noted(notes, "run")) == 1


def test_longest_chain_starts_first(tmp_path: Path) -> None:
    store, notes = Store(tmp_path / "s"), tmp_path / "notes"
    short = make_node("short", notes, weight=2.0)
    head = make_node("head", notes, weight=1.0)
    tail = make_node("tail", notes, [head], weight=5.0)
    assert go([short, head, tail], store).computed == ["head", "tail", "short"]


def test_damaged_result_is_computed_again(tmp_path: Path) -> None:
    store, nodes = Store(tmp_path / "s"), diamond(tmp_path / "notes")
    go(nodes, store)
    (store.folder(*nodes[1].key) / "result.json").unlink()
    assert go(nodes, store).computed == ["left"]
    assert verify(store, *nodes[1].key) == []


def test_bad_graphs_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    store = Store(tmp_path / "s")
    with pytest.raises(UserError, match="cycle"):
        go([Node("a", "step", "0" * 24, ("b",)), Node("b", "step", "1" * 24, ("a",))], store)
    with pytest.raises(UserError, match="depends on ghost"):
        go([Node("a", "step", "0" * 24, ("ghost",))], store)
    assert not store.root.exists()


def test_users_mistake_keeps_its_message_and_the_rest_goes_on(tmp_path: Path) -> None:
    store, notes = Store(tmp_path / "s"), tmp_path / "notes"
    bad = make_node("bad", notes, how="user")
    behind = make_node("behind", notes, [bad])
    far = make_node("far", notes, [behind])
    good = make_node("good", notes, weight=0.1)
    outcome = go([bad, behind, far, good], store, runner="misbehave")
    assert outcome.computed == ["good"]
    assert outcome.failed == {
        "bad": "data.jsonl: row 3: no prompt; add one",
        "behind": "not run: needs bad, which failed",
        "far": "not run: needs behind, which was not run",
    }
    assert not store.log_path(*bad.key).exists()


def test_bug_leaves_its_traceback_in_a_log_and_a_line_for_people(tmp_path: Path) -> None:
    store, node = Store(tmp_path / "s"), make_node("bad", tmp_path / "notes", how="bug")
    outcome = go([node], store, runner="misbehave")
    log = store.log_path(*node.key)
    assert outcome.failed == {"bad": f"KeyError: 'surprise' (traceback: {log})"}
    assert "about to fail" in log.read_text() and "Traceback (most recent" in log.read_text()
    assert len(noted(tmp_path / "notes", "run")) == 1


@pytest.mark.parametrize(
    ("how", "reason", "runs"),
    [
        ("exit", "SystemExit: 3", 1),
        ("kill-always", "killed (signal 9; often the system is out of memory), 2 times", 2),
        ("segfault", "crashed (signal 11), 2 times; its output:", 2),
        ("quit", "ended by itself (exit code 0), 2 times", 2),
    ],
)
def test_worker_that_dies_fails_its_node_after_one_retry(
    tmp_path: Path, how: str, reason: str, runs: int
) -> None:
    store, notes = Store(tmp_path / "s"), tmp_path / "notes"
    nodes = [make_node("bad", notes, how=how, weight=9.0), make_node("good", notes)]
    outcome = go(nodes, store, runner="misbehave")
    assert outcome.computed == ["good"]
    assert reason in outcome.failed["bad"]
    assert noted(notes, "run").count("bad") == runs


def test_worker_killed_once_is_replaced_and_its_node_completed(tmp_path: Path) -> None:
    store, notes = Store(tmp_path / "s"), tmp_path / "notes"
    events: list[Event] = []
    nodes = [make_node("bad", notes, how="kill-once"), make_node("good", notes)]
    outcome = go(nodes, store, runner="misbehave", on_event=events.append)
    assert sorted(outcome.computed) == ["bad", "good"] and outcome.failed == {}
    starts = [
        event.message for event in events if (event.kind, event.node_id) == ("started", "bad")
    ]
    assert starts[0] == "" and "again: its worker process was killed" in starts[1]


def test_result_with_a_link_fails_instead_of_completing(tmp_path: Path) -> None:
    store, node = Store(tmp_path / "s"), make_node("n", tmp_path / "notes")
    assert "plain files" in go([node], store, runner="link").failed["n"]


def test_unknown_runner_fails_with_its_name(tmp_path: Path) -> None:
    store, node = Store(tmp_path / "s"), make_node("n", tmp_path / "notes")
    assert "no attribute 'nothing'" in go([node], store, runner="nothing").failed["n"]


def test_worker_that_cannot_start_stops_the_run_with_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, node = Store(tmp_path / "s"), make_node("n", tmp_path / "notes")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    with pytest.raises(RuntimeError, match=r"could not start .*workers\.log"):
        go([node], store)


def test_worker_that_may_not_read_the_store_ends_the_run_in_a_traceback(tmp_path: Path) -> None:
    store, node = Store(tmp_path / "s"), make_node("n", tmp_path / "notes")
    store.create()
    # Another version's, by the time the worker looks.
    write_json(tmp_path / "s" / "STORE.json", {"layout": 99})
    with Pool(store, "any:runner", 1) as pool:
        pool.take(node, {})
        with pytest.raises(StoreError, match=r"a worker can't use the store: .*STORE\.json"):
            while pool.reply(10.0) is None:
                pass


def test_events_tell_the_story_of_a_node(tmp_path: Path) -> None:
    store, node = Store(tmp_path / "s"), make_node("n", tmp_path / "notes", steps=3, sleep=0.15)
    events: list[Event] = []
    go([node], store, on_event=events.append)
    go([node], store, on_event=events.append)
    assert [event.kind for event in events] == [
        "started",
        *["progress"] * 3,
        "finished",
        "reused",
    ]
    steps = [(e.step, e.total, e.message) for e in events if e.kind == "progress"]
    assert steps == [(1, 3, "stepping"), (2, 3, "stepping"), (3, 3, "stepping")]
    assert 0.4 < events[3].seconds < 5 and 0.4 < events[4].seconds < 5
    assert events[5].seconds == events[4].seconds


def test_flood_of_progress_is_thinned_and_its_end_kept(tmp_path: Path) -> None:
    store, node = Store(tmp_path / "s"), make_node("n", tmp_path / "notes", steps=300)
    events: list[Event] = []
    begin = time.monotonic()
    go([node], store, on_event=events.append)
    progress = [event.step for event in events if event.kind == "progress"]
    assert len(progress) <= 3 + (time.monotonic() - begin) / 0.1
    assert progress[-1] == 300


def test_exception_in_the_listener_stops_the_run_and_the_workers(tmp_path: Path) -> None:
    store, node = Store(tmp_path / "s"), make_node("n", tmp_path / "notes", sleep=30.0)

    def refuse(event: Event) -> None:
        raise ZeroDivisionError

    begin = time.monotonic()
    with pytest.raises(ZeroDivisionError):
        go([node], store, on_event=refuse)
    assert time.monotonic() - begin < 10


def test_worker_is_quiet_isolated_and_persistent(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    store, notes = Store(tmp_path / "s"), tmp_path / "notes"
    nodes = [make_node("one", notes, megabytes=64, weight=2.0), make_node("two", notes)]
    outcome = go(nodes, store, runner="describe")
    one, two = (read_json(store.folder(*node.key) / "result.json") for node in nodes)
    assert one["pid"] == two["pid"]  # heavy imports are paid once
    assert one["stdin"] == "" and not one["torch"]
    assert one["omp"] == str(available_cores())
    log = store.log_path(*nodes[0].key).read_text()
    assert sorted(log.splitlines()) == [
        "complained by the runner",
        "printed by a child",
        "printed by the runner",
    ]
    assert capfd.readouterr() == ("", "")
    # Measured per node, not per process: the second one did not hold the first one's ballast.
    assert outcome.peak_memory_mb["one"] > outcome.peak_memory_mb["two"] + 50


def test_cores_and_gpus_are_shared_out_among_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whyfirst.study.execute.pool.available_cores", lambda: 16)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5,7")
    shares = [worker_environment(slot, 2) for slot in range(2)]
    assert [share["CUDA_VISIBLE_DEVICES"] for share in shares] == ["3,7", "5"]
    assert [share["OMP_NUM_THREADS"] for share in shares] == ["8", "8"]
    many = [worker_environment(slot, 4)["CUDA_VISIBLE_DEVICES"] for slot in range(4)]
    assert many == ["3", "5", "7", "3"]
    assert worker_environment(0, 1)["CUDA_VISIBLE_DEVICES"] == "3,5,7"
    assert worker_environment(0, 64)["OMP_NUM_THREADS"] == "1"


def test_wide_graph_uses_all_workers(tmp_path: Path) -> None:
    store, notes = Store(tmp_path / "s"), tmp_path / "notes"
    nodes = wide(notes, 4, sleep=0.3)
    outcome = go(nodes, store, workers=2)
    pids = {line.rpartition("pid=")[2] for line in notes.read_text().splitlines() if "pid=" in line}
    assert len(outcome.computed) == 5 and len(pids) == 2
