"""Harm done to a store, a lock or a worker by real means, and seen told: nothing silently wrong."""

import contextlib
import errno
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from executor_helpers import HERE, alive, diamond, make_node, noted, outcome_of, start_run
from store_checks import verify

from whyfirst.config import plugins, process
from whyfirst.config.errors import StoreError
from whyfirst.config.files import read_json, sha256_content, write_json
from whyfirst.study.execute.executor import Event, Outcome, run_graph
from whyfirst.study.execute.graph import Node
from whyfirst.study.execute.marker import MARKER
from whyfirst.study.execute.pool import search_path
from whyfirst.study.execute.store import ASIDE, Incomplete, Store


def go(nodes: list[Node], store: Store, runner: str = "run", **more: Any) -> Outcome:
    return run_graph(nodes, store, workers=1, runner=f"executor_runners:{runner}", **more)


def flip(path: Path) -> None:
    """Change one byte and set the file's time back, as a disk or a careless tool might."""
    before, content = path.stat(), bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


# -- bytes that changed ------------------------------------------------------------------------


def test_a_flipped_byte_in_an_input_changes_the_result_without_a_word(tmp_path: Path) -> None:
    store, notes = Store(tmp_path / "s"), tmp_path / "notes"
    base, left, right, top = diamond(notes)
    go([base, left, right], store)
    sound = (store.folder(*left.key) / "result.json").read_bytes()
    flip(store.folder(*left.key) / "result.json")
    events: list[Event] = []
    outcome = go([base, left, right, top], store, on_event=events.append)
    assert outcome.computed == ["left", "top"] and sorted(outcome.reused) == ["base", "right"]
    told = [event for event in events if event.kind == "damaged"]
    assert [event.node_id for event in told] == ["left"]
    assert "result.json: its content has changed since it was written" in told[0].message
    assert (store.folder(*left.key) / "result.json").read_bytes() == sound
    assert read_json(store.folder(*top.key) / "result.json")["total"] == 5


def test_damaged_results_are_deleted(tmp_path: Path) -> None:
    """What is bad is put aside with its reason; only `store gc` removes it."""
    store, node = Store(tmp_path / "s"), make_node("n", tmp_path / "notes")
    go([node], store)
    (store.folder(*node.key) / "result.json").write_text("cut")
    events: list[Event] = []
    go([node], store, on_event=events.append)
    assert "result.json: 3 bytes instead of" in events[0].message
    aside = [path for path in (store.root / ASIDE).iterdir() if path.is_dir()]
    assert len(aside) == 1 and (aside[0] / "result.json").read_text() == "cut"
    assert "3 bytes instead of" in read_json(aside[0].with_name(f"{aside[0].name}.json"))["why"]
    assert verify(store, *node.key) == []


def test_unchanged_inputs_are_hashed_at_every_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, node = Store(tmp_path / "s"), make_node("n", tmp_path / "notes")
    go([node], store)
    monkeypatch.setattr("whyfirst.study.execute.marker.sha256_file", None)
    assert store.check(*node.key) == ""
    path = store.folder(*node.key) / "result.json"
    shutil.copy2(path, tmp_path / "copy")
    (tmp_path / "copy").replace(path)  # another inode: it has to be looked at
    with pytest.raises(TypeError):
        store.check(*node.key)


def test_a_file_that_changes_between_plan_and_work_is_read_under_the_old_name(
    tmp_path: Path,
) -> None:
    data = tmp_path / "rows.jsonl"
    data.write_text("{}\n")
    node = make_node("n", tmp_path / "notes")
    node = Node(node.id, node.kind, node.fingerprint, payload=node.payload,
                reads={str(data): sha256_content(data)})  # fmt: skip
    data.write_text('{"a": 1}\n')
    outcome = go([node], Store(tmp_path / "s"))
    assert "rows.jsonl: its content has changed since the study was planned" in outcome.failed["n"]


def test_a_link_in_a_result_is_followed(tmp_path: Path) -> None:
    store, node = Store(tmp_path / "s"), make_node("n", tmp_path / "notes")
    go([node], store)
    folder = store.folder(*node.key)
    (folder / "result.json").rename(tmp_path / "elsewhere.json")
    (folder / "result.json").symlink_to(tmp_path / "elsewhere.json")
    assert store.damage(*node.key).endswith("result.json: no plain file")
    (folder / "result.json").unlink()
    (tmp_path / "elsewhere.json").rename(folder / "result.json")
    assert store.complete(*node.key)
    (folder / "sub").rename(tmp_path / "sub")
    (folder / "sub").symlink_to(tmp_path / "sub")
    assert "a link, in place of a folder" in store.damage(*node.key)


@pytest.mark.parametrize("name", ["../../escaped", "/etc/hostname", ""])
def test_a_marker_may_name_files_outside_its_folder(tmp_path: Path, name: str) -> None:
    store, node = Store(tmp_path / "s"), make_node("n", tmp_path / "notes")
    go([node], store)
    path = store.folder(*node.key) / MARKER
    marker = read_json(path)
    marker["files"][name] = {"bytes": 1, "sha256": "0" * 64}
    write_json(path, marker)
    assert "outside its folder" in store.damage(*node.key)
    files = {"a": b"x", name: b"y", MARKER: b"{}"}
    with pytest.raises(StoreError, match="from another machine"):
        store.adopt("step", "ef" * 12, files)


# -- what can't be told ------------------------------------------------------------------------


def test_a_marker_that_cannot_be_read_means_not_complete(tmp_path: Path) -> None:
    """Taken for "not there", a stale handle or another user's file cost the whole result."""
    store, node = Store(tmp_path / "s"), make_node("n", tmp_path / "notes")
    go([node], store)
    marker = store.folder(*node.key) / MARKER
    content = marker.read_bytes()
    marker.unlink()
    marker.symlink_to(marker)  # to open it is an error (ELOOP) for root as well
    with pytest.raises(StoreError, match=r"COMPLETE\.json: can't be read, so whether"):
        go([node], store)
    marker.unlink()
    marker.write_bytes(content)
    assert go([node], store).reused == ["n"] and not any((store.root / ASIDE).iterdir())


def test_another_users_private_marker_means_not_complete(tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("becoming another user needs root")
    store, node = Store(tmp_path / "s"), make_node("n", tmp_path / "notes")
    go([node], store)
    (store.folder(*node.key) / MARKER).chmod(0o600)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.name.startswith("pytest-of-"):
            folder.chmod(0o755)
            break
        folder.chmod(0o755)  # one more folder lies between where tests run side by side
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:  # permission bits don't bind root
        try:
            os.setuid(65534)
            Store(tmp_path / "s").complete(*node.key)
        except StoreError as error:
            os.write(write_end, str(error).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(write_end)
    with os.fdopen(read_end) as told:
        assert "Permission denied. Nothing was changed" in told.read()


def test_a_result_of_a_newer_layout_is_taken_for_damage(tmp_path: Path) -> None:
    store, node = Store(tmp_path / "s"), make_node("n", tmp_path / "notes")
    go([node], store)
    path = store.folder(*node.key) / MARKER
    write_json(path, read_json(path) | {"layout": 2})
    with pytest.raises(StoreError, match=r"written by a newer version of whyfirst \(layout 2\)"):
        go([node], store)
    assert path.exists()


# -- answers still missing ---------------------------------------------------------------------


def test_an_evaluation_that_lacked_answers_is_final(tmp_path: Path) -> None:
    """The server is mended, the command run again: only what has no answer is asked."""
    store, notes, up = Store(tmp_path / "s"), tmp_path / "notes", tmp_path / "up"
    node = make_node("eval", notes, up=str(up))
    behind = make_node("behind", notes, [node])
    events: list[Event] = []
    outcome = go([node, behind], store, "ask", on_event=events.append)
    assert outcome.incomplete == {"eval": Incomplete(2, 3, "503 from the server")}
    assert outcome.failed == {"behind": "not run: needs eval, which is incomplete"}
    assert events[-2].message == "2 of 3 items have no answer yet (503 from the server)"
    assert not store.complete(*node.key) and store.incomplete(*node.key) is not None
    again = go([node], store, "ask")  # still down: nothing is asked twice, and it is said again
    assert again.incomplete["eval"].missing == 2
    up.touch()
    assert go([node], store, "ask").computed == ["eval"]
    assert noted(notes, "asked") == ["eval"] * 3
    assert store.incomplete(*node.key) is None and verify(store, *node.key) == []


# -- locks, processes and their numbers --------------------------------------------------------


def test_a_lock_left_by_a_killed_process_holds_for_ever(tmp_path: Path) -> None:
    code = "import sys,time; from pathlib import Path; from whyfirst.config.process import Lock"
    code += "\nheld = Lock(Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"
    holder = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "l")],
                              stdout=subprocess.PIPE, text=True)  # fmt: skip
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    with pytest.raises(process.LockTakenError, match=f"process {holder.pid} on "):
        process.Lock(tmp_path / "l")
    holder.kill()
    holder.communicate()
    with process.Lock(tmp_path / "l"):
        assert read_json(tmp_path / "l")["pid"] == os.getpid()
    assert (tmp_path / "l").read_bytes() == b""


def test_a_file_system_that_keeps_no_locks_lets_two_write_one_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    living = subprocess.Popen(["sleep", "60"])
    (tmp_path / "l").write_text(json.dumps(process.identity(living.pid)))
    with pytest.raises(process.LockTakenError, match=f"process {living.pid} on"):
        process.Lock(tmp_path / "l")  # granted by the file system, and its holder lives
    living.kill()
    living.wait()
    process.Lock(tmp_path / "l").__exit__()
    monkeypatch.setattr(fcntl, "flock", lambda *_: None)
    with pytest.raises(StoreError, match="grants a lock to two at once"):
        Store(tmp_path / "s").create()


def test_a_reused_process_number_passes_for_its_first_holder() -> None:
    child = subprocess.Popen(["sleep", "60"])
    me = process.identity(child.pid)
    assert process.alive(me) is True
    assert process.alive(me | {"started": me["started"] - 1}) is False  # another one, before
    assert process.alive(me | {"boot": "0" * 36}) is False  # before the machine was started
    assert process.alive(me | {"host": "elsewhere"}) is None
    child.kill()
    end = time.monotonic() + 5
    while process.alive(me) is not False:  # a zombie already counts as gone
        assert time.monotonic() < end
    child.wait()
    assert process.alive(me) is False


def test_stage_processes_outlive_a_parent_whose_number_was_reused(tmp_path: Path) -> None:
    other = process.identity() | {"started": 1}  # this number, another process
    code = "import json,sys,time; from whyfirst.train.launch import _die_with\n"
    code += "_die_with(json.loads(sys.argv[1]))"
    begin = time.monotonic()
    child = subprocess.run([sys.executable, "-c", code, json.dumps(other)], timeout=60)
    assert child.returncode == 1 and time.monotonic() - begin < 60


def test_a_module_in_the_working_folder_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("import os; os._exit(7)")
    (tmp_path / "executor_runners.py").write_text("raise SystemExit('from the working folder')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)  # unset, as it mostly is
    monkeypatch.setattr(sys, "path", ["", str(tmp_path), *sys.path])
    assert str(tmp_path) not in search_path() and str(HERE) in search_path()
    node = make_node("n", tmp_path / "notes")
    assert go([node], Store(tmp_path / "s")).computed == ["n"]
    safe = "import os, subprocess, sys\nfrom whyfirst.study.execute.pool import worker_environment"
    safe += "\nsubprocess.run([sys.executable, '-m', 'json.tool', '--help'], check=True,"
    safe += "env=worker_environment(0, 1), stdout=subprocess.DEVNULL)"
    subprocess.run([sys.executable, "-P", "-c", safe], check=True, cwd=tmp_path)


# -- plug-ins ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("how", "told"), [("exit", "SystemExit: 3"), ("interrupt", "Interrupt")])
def test_a_plug_in_that_exits_takes_the_worker_with_it(tmp_path: Path, how: str, told: str) -> None:
    store, notes = Store(tmp_path / "s"), tmp_path / "notes"
    bad, good = make_node("bad", notes, how=how, weight=9.0), make_node("good", notes)
    behind = make_node("behind", notes, [bad])
    outcome = go([bad, good, behind], store, "misbehave")
    assert outcome.computed == ["good"] and told in outcome.failed["bad"]
    assert outcome.failed["behind"] == "not run: needs bad, which failed"
    assert noted(notes, "run") == ["bad", "good"]


def test_workers_do_not_know_the_plug_ins_of_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = tmp_path / "mine.py"
    plugin.write_text("import sys\nsys.exit('no licence')\n")
    monkeypatch.setenv(plugins.VARIABLE, str(plugin))
    outcome = go([make_node("n", tmp_path / "notes")], Store(tmp_path / "s"))
    assert "mine.py:2: SystemExit: no licence" in outcome.failed["n"]


# -- the disk ----------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS])
def test_a_disk_that_refuses_is_told_only_by_some_of_its_names(tmp_path: Path, code: int) -> None:
    store = Store(tmp_path / "s")
    for error in (
        OSError(code, os.strerror(code), "elsewhere"),
        RuntimeError(f"Error while serializing: I/O error: {os.strerror(code)} (os error {code})"),
    ):
        found = store.storage_failure(error)
        assert found is not None and os.strerror(code) in str(found)


def test_a_file_size_limit_ends_the_study_with_a_traceback(tmp_path: Path) -> None:
    """EFBIG, by the real limit: it stops the run as a full disk does, and the same call goes on."""
    node = make_node("n", tmp_path / "notes", how="fill")
    process_ = start_run(tmp_path, [node], tmp_path / "s", runner="misbehave", file_limit=2**20)
    _, errors = process_.communicate(timeout=60)
    assert "StoreError" in errors and "File too large" in errors and "ulimit -f" in errors
    mended = Node(node.id, node.kind, node.fingerprint, payload={"notes": str(tmp_path / "notes")})
    assert outcome_of(start_run(tmp_path, [mended], tmp_path / "s"))["computed"] == ["n"]


def test_killed_waiting_and_damage_together_still_end_in_sound_results(tmp_path: Path) -> None:
    notes, store = tmp_path / "notes", Store(tmp_path / "s")
    nodes = diamond(notes, steps=2, sleep=0.05)
    go(nodes[:3], store)
    flip(store.folder(*nodes[1].key) / "result.json")
    first = start_run(tmp_path, nodes, store.root)
    time.sleep(0.4)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    with contextlib.suppress(StoreError):
        assert not outcome_of(start_run(tmp_path, nodes, store.root))["failed"]
    assert all(verify(store, *node.key) == [] for node in nodes)
    assert not alive(first.pid)
