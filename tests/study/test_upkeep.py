"""Looking after a store: what must never go stays, what is damaged is found, kills lose nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from executor_helpers import diamond, make_node
from store_checks import verify as problems
from typer.testing import CliRunner

from whyfirst.cli.app import app
from whyfirst.config import process
from whyfirst.config.errors import StoreError, UserError
from whyfirst.config.files import read_json, write_json
from whyfirst.study.execute.executor import Event, run_graph
from whyfirst.study.execute.graph import Node
from whyfirst.study.execute.marker import MARKER
from whyfirst.study.execute.store import Store
from whyfirst.study.execute.upkeep import (
    collect,
    holdings,
    note_study,
    prunable,
    prune,
    shed,
    studies,
    verify,
)


def invoke(store: Store, *arguments: str) -> tuple[int, dict[str, object]]:
    done = CliRunner().invoke(app, ["store", *arguments, "--store", str(store.root), "--json"])
    return done.exit_code, json.loads(done.stdout) if done.stdout else {"error": done.output}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Four results; study `one` uses all of them, `two` the first."""
    store, nodes = Store(tmp_path / "s"), diamond(tmp_path / "notes")
    run_graph(nodes, store, workers=1, runner="executor_runners:run")
    for name, keys in (("one", nodes), ("two", nodes[:1])):
        note_study(store, name, tmp_path / f"{name}.yaml", [n.key for n in keys], running=False)
    return store


def test_list_and_size_miss_something(store: Store, tmp_path: Path) -> None:
    run_graph([make_node("other", tmp_path / "notes")], store, workers=1,
              runner="executor_runners:run")  # fmt: skip
    code, listed = invoke(store, "list")
    assert code == 0
    assert [(s["study"], s["complete"], s["parts"]) for s in listed["studies"]] == [  # type: ignore[attr-defined]
        ("one", 4, 4), ("two", 1, 1)
    ]  # fmt: skip
    assert listed["of_no_study"]["parts"] == 1  # type: ignore[index]
    code, sizes = invoke(store, "size")
    on_disk = sum(p.stat().st_size for p in (store.root / "step").rglob("*") if p.is_file())
    assert sizes["kinds"] == {"step": {"complete": 5, "unfinished": 0, "bytes": on_disk}}


def test_verify_misses_a_flipped_byte_or_leaves_it_in_place(store: Store) -> None:
    holding = next(iter(holdings(store)))
    path = store.folder(*holding.key) / "result.json"
    content = bytearray(path.read_bytes())
    content[3] ^= 4
    path.write_bytes(content)
    code, said = invoke(store, "verify")
    assert code == 2 and said["sound"] == 3
    assert "content has changed" in said["damaged"][0]["problem"]  # type: ignore[index]
    assert not store.complete(*holding.key) and any((store.root / "aside").iterdir())
    assert invoke(store, "verify") == (0, {"sound": 3, "damaged": []})


def test_verify_takes_files_nobody_wrote(store: Store) -> None:
    holding = next(iter(holdings(store)))
    (store.folder(*holding.key) / "model.bin").write_bytes(b"planted")
    assert [key for key, why in verify(store) if "model.bin: not of the result" in why] == [
        holding.key
    ]


def test_gc_removes_a_result_or_leaves_rubbish(store: Store) -> None:
    first, second = list(holdings(store))[:2]
    (store.root / ".discarded-0123456789abcdef" / "deep").mkdir(parents=True)
    (store.root / ".discarded-0123456789abcdef" / "deep" / "f").write_text("x" * 10)
    (store.folder(*first.key) / MARKER).unlink()  # a killed attempt
    (store.folder(*first.key) / ".a.json.0123456789abcdef.tmp").write_text("torn")
    (store.folder(*first.key) / ".model.tmp").mkdir()
    (store.folder(*first.key) / ".model.tmp" / "w.safetensors").write_text("half")
    (store.folder(*first.key) / ".hidden").write_text("a checkpoint's own")
    with store.lock(*second.key):
        store.put_aside(*second.key, "damaged")
    before = sorted(h.key for h in holdings(store))
    assert invoke(store, "gc")[1]["files"] == 5
    assert sorted(h.key for h in holdings(store)) == before
    assert invoke(store, "gc", "--yes")[1]["removed"] is True
    assert sorted(h.key for h in holdings(store)) == before and collect(store, dry=True) == (0, 0)
    assert (store.folder(*first.key) / ".hidden").exists()
    assert not list(store.root.rglob("*.tmp")) and not any((store.root / "aside").iterdir())


def test_prune_removes_what_another_study_uses(store: Store) -> None:
    shared = next(use for use in studies(store) if use.name == "two").keys
    code, said = invoke(store, "prune", "one")
    assert (code, said["removed"], said["parts"]) == (0, False, 3)
    assert len(list(holdings(store))) == 4
    assert len(prune(store, ["one"], unnamed=False)) == 3
    assert {h.key for h in holdings(store)} == shared
    assert [use.name for use in studies(store)] == ["two"]
    assert not list(store.root.glob(".discarded-*"))


def test_prune_takes_what_a_registered_study_needs(store: Store, tmp_path: Path) -> None:
    (tmp_path / "one.registration.json").write_text("{}")  # registered after it ran
    code, _ = invoke(store, "prune", "one", "--yes")
    assert code == 2 and len(list(holdings(store))) == 4
    with pytest.raises(UserError, match="one: is registered, so what it needs stays"):
        prune(store, ["one"], unnamed=False)
    assert prunable(store, ["two"], unnamed=True) == []


def test_prune_takes_what_a_running_study_needs(store: Store, tmp_path: Path) -> None:
    code = "import sys,time; from pathlib import Path\n"
    code += "from whyfirst.study.execute.store import Store\n"
    code += "from whyfirst.study.execute.upkeep import note_study, studies\n"
    code += "s = Store(Path(sys.argv[1])); keys = [k for u in studies(s) for k in u.keys]\n"
    code += "note_study(s, 'one', Path(sys.argv[2]), keys, running=True)\n"
    code += "print('noted', flush=True); time.sleep(60)"
    runner = subprocess.Popen(
        [sys.executable, "-c", code, str(store.root), str(tmp_path / "one.yaml")],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert runner.stdout is not None and runner.stdout.readline() == "noted\n"
    with pytest.raises(UserError, match="is running"):
        prune(store, ["one"], unnamed=False)
    runner.kill()  # without a word of its end: the process is looked for, not its note
    runner.communicate()
    assert len(prune(store, ["one"], unnamed=False)) == 3


def test_the_first_of_two_commands_to_end_says_that_nobody_runs_the_study(store: Store) -> None:
    (use,) = [use for use in studies(store) if use.name == "one"]
    note = {"file": Path(use.file), "keys": use.keys}
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        note_study(store, "one", **note, running=True)  # type: ignore[arg-type]
        written = read_json(use.path)
        write_json(use.path, written | {"runners": [process.identity(other.pid)]})
        note_study(store, "one", **note, running=True)  # type: ignore[arg-type]
        note_study(store, "one", **note, running=False)  # type: ignore[arg-type]
        (use,) = [use for use in studies(store) if use.name == "one"]
        assert use.running and use.protected == "is running"
    finally:
        other.communicate(b"\n")
    (use,) = [use for use in studies(store) if use.name == "one"]
    assert not use.running
    note_study(store, "one", **note, running=False)  # type: ignore[arg-type]
    assert read_json(use.path)["runners"] == []


@pytest.mark.parametrize("torn", ["{", "[]", '{"runners": 3}'])
def test_a_damaged_note_stops_its_own_study(store: Store, torn: str) -> None:
    (use,) = [use for use in studies(store) if use.name == "one"]
    use.path.write_text(torn)
    note_study(store, "one", Path(use.file), use.keys, running=False)
    (again,) = [use for use in studies(store) if use.name == "one"]
    assert again.keys == use.keys and not again.running


def test_prune_takes_a_result_that_a_process_holds(store: Store) -> None:
    target = prunable(store, ["one"], unnamed=False)[0]
    with store.lock(*target.key):
        assert target.key not in {h.key for h in prune(store, ["one"], unnamed=False)}
    assert store.complete(*target.key)


def test_an_unreadable_note_protects_nothing(store: Store) -> None:
    path = next((store.root / "studies").glob("two-*"))
    path.write_text("{")
    with pytest.raises(StoreError, match="so what this study needs isn't known"):
        prune(store, ["one"], unnamed=False)


def weights(tmp_path: Path) -> tuple[Store, list[Node]]:
    """A chain of two, the first of which holds weights beside its result."""
    store, notes = Store(tmp_path / "w"), tmp_path / "notes"
    first = make_node("first", notes, weights=2000)
    nodes = [first, make_node("second", notes, [first])]
    run_graph(nodes, store, workers=1, runner="executor_runners:run")
    return store, nodes


def test_removed_weights_make_a_finished_study_unfinished(tmp_path: Path) -> None:
    store, nodes = weights(tmp_path)
    path = store.folder(*nodes[0].key) / "model" / "w.safetensors"
    before = path.read_bytes()
    assert shed(store, [node.key for node in nodes], "one") == 2000 and not path.exists()
    assert problems(store, *nodes[0].key) == []
    again = run_graph(nodes, store, workers=1, runner="none:none")
    assert again.computed == [] and len(again.reused) == 2
    # What needs them gets them back, as they were.
    third = make_node("third", tmp_path / "notes", [nodes[0]])
    events: list[Event] = []
    more = run_graph([*nodes, third], store, workers=1, runner="executor_runners:run",
                     on_event=events.append)  # fmt: skip
    assert more.computed == ["first", "third"] and more.reused == ["second"]
    assert path.read_bytes() == before
    assert [e.message for e in events if e.kind == "damaged"] == [
        "its weights were removed when nothing needed them any more"
    ]


def test_weights_that_another_running_study_needs_are_removed(tmp_path: Path) -> None:
    store, nodes = weights(tmp_path)
    note_study(store, "other", tmp_path / "o.yaml", [nodes[0].key], running=True)
    assert shed(store, [nodes[0].key], "one") == 0
    note = next((store.root / "studies").glob("other-*"))
    write_json(note, read_json(note) | {"runners": [process.identity() | {"started": 1}]})
    assert shed(store, [nodes[0].key], "one") == 2000
