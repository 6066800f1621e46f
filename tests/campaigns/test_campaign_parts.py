"""What the campaigns rest on: the disk that fails and is recorded, its power cuts, the tally."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from disk import Change
from parsers import with_benchmarks
from power import flushed, replay, states
from tally import Tally

from whyfirst.config.errors import UserError

SAVED = sorted((Path(__file__).parent / "saved").glob("*.json"))
CAMPAIGNS = Path(__file__).parents[2] / "campaigns"
HEADER = f"""
import json, os, sys
from pathlib import Path
sys.path.insert(0, {str(CAMPAIGNS)!r})
import disk
folder = Path(sys.argv[1])
disk.loaded(folder.parent / "layer")
from whyfirst.config.errors import StoreError
from whyfirst.config.files import append_jsonl, atomic_write
target, rows = folder / "x.json", folder / "rows.jsonl"
"""
needs_cc = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")


def script(text: str, folder: Path) -> str:
    """What a script on the disk that fails prints; it works in `folder`."""
    folder.mkdir(exist_ok=True)
    file = folder.parent / "script.py"
    file.write_text(HEADER + text)
    done = subprocess.run(
        [sys.executable, str(file), str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs_cc
def test_a_call_that_fails_leaves_half_a_file(tmp_path: Path) -> None:
    """Every call of every class of an atomic write and an append, with every kind of reason."""
    printed = script(
        """
atomic_write(target, b"old")
append_jsonl(rows, {"n": 0})
disk.arm(folder)
atomic_write(target, b"new" * 5000)
append_jsonl(rows, {"n": 1})
tried = 0
for kind, calls in disk.counts().items():
    for number in range(1, calls + 1):
        for fault in ("ENOSPC", "EIO", "ESTALE", "EDQUOT", *(["short"] if kind == "write" else [])):
            disk.arm(folder)
            atomic_write(target, b"old")
            before = rows.read_bytes()
            disk.arm(folder, kind, number, None, fault)
            refused = []
            for write in (lambda: atomic_write(target, b"new" * 5000),
                          lambda: append_jsonl(rows, {"n": 1})):
                try:
                    write()
                except StoreError as error:
                    refused.append(str(error))
            disk.arm(folder)
            assert target.read_bytes() in (b"old", b"new" * 5000), (kind, number, fault)
            after = rows.read_bytes()
            assert after in (before, before + b'{"n":1}\\n'), (kind, number, fault, after)
            assert sorted(p.name for p in folder.iterdir()) == ["rows.jsonl", "x.json"]
            assert all("can't be written: " in words for words in refused)
            tried += 1
print(tried)
""",
        tmp_path / "place",
    )
    assert int(printed) > 40


@needs_cc
def test_a_power_cut_leaves_half_a_file(tmp_path: Path) -> None:
    """After every cut, with every beginning of what wasn't flushed, it is the old or the new."""
    folder, log = tmp_path / "place", tmp_path / "log"
    script(
        f"""
record = os.open({str(log)!r}, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
disk.arm(folder, record=record)
atomic_write(target, b"old")
atomic_write(target, b"new" * 3000)
""",
        folder,
    )
    from disk import changes

    seen, recorded = [], list(changes(log))
    for _, kept in states(recorded):
        seen.append(replay(kept).get(str(folder / "x.json")))
    assert set(seen) == {None, b"old", b"new" * 3000} and len(seen) > 8
    done = [place for place, change in enumerate(recorded) if change.op == "F"][3]
    for name, kept in states(recorded):
        if int(name.split(".")[0]) > done:  # both writes had come back
            assert replay(kept)[str(folder / "x.json")] == b"new" * 3000


def change(op: str, path: str, other: str = "", at: int = 0, data: bytes = b"") -> Change:
    return Change(op, path, other, at, data)


def test_what_is_flushed_is_told_by_the_file_or_by_its_folder() -> None:
    made = [
        change("C", "/d/t"), change("W", "/d/t", data=b"ab"), change("F", "/d/t"),
        change("R", "/d/t", "/d/x"), change("W", "/d/x", at=1, data=b"c"), change("F", "/d"),
    ]  # fmt: skip
    # The name is flushed with the folder, the first bytes with the file, the last ones never.
    assert flushed(made) == [5, 2, 6, 5, 6, 6]
    assert replay(made) == {"/d/x": b"ac"}
    found = [replay(kept) for _, kept in states(made)]
    # Bytes alone have no name; the name alone, none; a cut after the folder's flush keeps both.
    assert {} in found and {"/d/t": b"ab"} in found and {"/d/x": b"ab"} in found
    assert {"/d/x": b""} not in found  # as a rename before the flush would leave


def test_rename_before_the_flush_can_lose_the_content() -> None:
    """The mistake that the recording exists to find."""
    made = [change("C", "/d/t"), change("W", "/d/t", data=b"ab"), change("R", "/d/t", "/d/x"),
            change("F", "/d"), change("F", "/d/x")]  # fmt: skip
    assert {"/d/x": b""} in [replay(kept) for _, kept in states(made)]


def test_tally_goes_on_behind_a_line_that_a_kill_cut_off(tmp_path: Path) -> None:
    tally = Tally(tmp_path / "a" / "tally.jsonl")
    assert tally.done() == set()
    tally.add({"trial": "1"})
    with tally.path.open("a") as file:
        file.write('{"trial": "2", "ev')
    tally.add({"trial": "3"})
    assert tally.done() == {"1", "3"}


@pytest.mark.parametrize("saved", SAVED, ids=lambda path: path.stem)
def test_file_that_once_ended_in_a_traceback_still_does(saved: Path, tmp_path: Path) -> None:
    """Found by `make fuzz`: each is read, or refused with a message."""
    row = json.loads(saved.read_text())
    for name, content in row["files"].items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content.encode("latin-1"))
    with contextlib.suppress(UserError):
        with_benchmarks()[row["parser"]].read(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [["storm.py", "--count", "6"], ["faults.py", "--count", "4"],
     ["power.py", "--count", "4"], ["fuzz.py", "--count", "150"]],
    ids=lambda command: command[0],
)  # fmt: skip
def test_sample_of_a_campaign_finds_something(command: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(CAMPAIGNS / command[0]), *command[1:], "--folder", str(tmp_path)],
        capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout.splitlines()[-1])
