"""The store: what counts as complete, what is refused, what survives damage and full disks."""

import errno
import json
import os
import shutil
import tempfile
import time
from pathlib import Path

import pytest
from executor_helpers import remount
from store_checks import artifacts, verify

from whyfirst.config.errors import StoreError
from whyfirst.study.execute.marker import MARKER
from whyfirst.study.execute.store import Store

FP = "ab" * 12


def finished(root: Path, kind: str = "step", fp: str = FP) -> Store:
    store = Store(root)
    store.create()
    folder = store.prepare(kind, fp)
    (folder / "a.txt").write_text("first")
    (folder / "sub").mkdir()
    (folder / "sub" / "b.txt").write_text("second")
    store.finish(kind, fp, {"id": "x"})
    return store


def test_result_counts_only_with_its_marker(tmp_path: Path) -> None:
    store = Store(tmp_path / "s")
    store.create()
    folder = store.prepare("step", FP)
    (folder / "a.txt").write_text("first")
    assert not store.complete("step", FP)
    store.finish("step", FP, {"id": "x"})
    assert store.complete("step", FP)
    assert verify(store, "step", FP) == []
    assert list(artifacts(store)) == [("step", FP)]


def test_marker_lists_files_sizes_and_hashes(tmp_path: Path) -> None:
    store = finished(tmp_path / "s")
    marker = json.loads((store.folder("step", FP) / MARKER).read_text())
    assert marker["files"] == {
        "a.txt": {
            "bytes": 5,
            "sha256": "a7937b64b8caa58f03721bb6bacf5c78cb235febe0e70b1b84cd99541461a08e",
        },
        "sub/b.txt": {
            "bytes": 6,
            "sha256": "16367aacb67a4a017c8da8ab95682ccb390863780f7114dda0a0e0c55644c7c4",
        },
    }
    assert (marker["id"], marker["kind"], marker["fingerprint"]) == ("x", "step", FP)


@pytest.mark.parametrize("damage", ["cut", "remove", "marker", "other"])
def test_damaged_result_is_not_complete_and_starts_empty(tmp_path: Path, damage: str) -> None:
    store = finished(tmp_path / "s")
    folder = store.folder("step", FP)
    if damage == "cut":
        (folder / "a.txt").write_text("fir")
    elif damage == "remove":
        (folder / "sub" / "b.txt").unlink()
    elif damage == "marker":
        (folder / MARKER).write_text('{"files": {"a.t')
    else:  # a folder copied under another fingerprint
        other = "cd" * 12
        folder.rename(store.folder("step", other))
        folder = store.folder("step", other)
    fp = folder.name
    assert not store.complete("step", fp)
    assert list(store.prepare("step", fp).iterdir()) == []
    assert not [path for path in store.root.iterdir() if path.name.startswith(".")]


def test_replies_that_an_evaluation_kept_first_are_no_foreign_folder(tmp_path: Path) -> None:
    """`whyfirst eval` of an endpoint, and then no study could run in the same folder."""
    (tmp_path / "replies").mkdir()
    (tmp_path / "replies" / "one.jsonl").write_text("{}\n")
    store = Store(tmp_path)
    store.create()
    assert (tmp_path / "replies" / "one.jsonl").exists() and (tmp_path / "STORE.json").exists()


def test_marker_tells_changed_missing_and_foreign_files(tmp_path: Path) -> None:
    store = finished(tmp_path / "s")
    folder = store.folder("step", FP)
    (folder / "a.txt").write_text("frist")  # same size: only the hash tells
    (folder / "sub" / "b.txt").unlink()
    (folder / "new.txt").write_text("?")
    problems = verify(store, "step", FP)
    named = {problem.split(": ")[0].removeprefix(f"{folder}/") for problem in problems}
    assert named == {"a.txt", "new.txt", "sub/b.txt"}
    assert verify(store, "step", "cd" * 12)[0].endswith("No such file or directory")


def test_partial_attempt_is_kept_for_the_runner(tmp_path: Path) -> None:
    store = Store(tmp_path / "s")
    store.create()
    (store.prepare("step", FP) / "checkpoint").write_text("half")
    assert (store.prepare("step", FP) / "checkpoint").read_text() == "half"


def test_temporary_files_of_killed_writes_are_no_part_of_a_result(tmp_path: Path) -> None:
    store = Store(tmp_path / "s")
    store.create()
    folder = store.prepare("step", FP)
    (folder / ".a.txt.0123456789abcdef.tmp").write_text("torn")
    (folder / ".hidden").write_text("kept: the runner wrote it")
    store.finish("step", FP, {})
    assert list(store.marker("step", FP)["files"]) == [".hidden"]  # type: ignore[index]
    assert verify(store, "step", FP) == []


def test_links_are_refused_in_results(tmp_path: Path) -> None:
    store = Store(tmp_path / "s")
    store.create()
    (store.prepare("step", FP) / "link").symlink_to("/etc/hostname")
    with pytest.raises(ValueError, match="plain files"):
        store.finish("step", FP, {})
    assert not store.complete("step", FP)


def test_store_of_another_layout_is_refused_with_remedy(tmp_path: Path) -> None:
    (tmp_path / "STORE.json").write_text('{"layout": 2}')
    with pytest.raises(StoreError, match=r"STORE\.json: the store has layout 2.*choose another"):
        Store(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"layout"'])
def test_unreadable_layout_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "STORE.json").write_text(content)
    with pytest.raises(StoreError, match=r"STORE\.json"):
        Store(tmp_path)


def test_folder_with_other_things_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(StoreError, match="neither empty nor a whyfirst store"):
        Store(tmp_path)


def test_file_in_place_of_the_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("a file")
    with pytest.raises(StoreError, match="Not a directory"):
        Store(tmp_path / "s")


def test_looking_at_a_store_writes_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "s")
    assert not store.complete("step", FP)
    assert list(artifacts(store)) == []
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("kind", ["locks", "logs", "..", "a/b", "", "Upper"])
def test_kinds_that_would_leave_the_layout_are_refused(tmp_path: Path, kind: str) -> None:
    with pytest.raises(ValueError, match="not a node kind"):
        Store(tmp_path).folder(kind, FP)


@pytest.mark.parametrize("fp", ["..", "a/b", "", "XY" * 12])
def test_fingerprints_that_would_leave_the_layout_are_refused(tmp_path: Path, fp: str) -> None:
    with pytest.raises(ValueError, match="not a fingerprint"):
        Store(tmp_path).folder("step", fp)


def test_full_disk_leaves_the_result_incomplete_and_the_rest_whole(tiny_disk: Path) -> None:
    store = finished(tiny_disk / "s")
    folder = store.prepare("step", "cd" * 12)
    with pytest.raises(OSError) as caught, (folder / "big").open("wb") as handle:
        handle.write(b"x" * 2**21)
    assert caught.value.errno == errno.ENOSPC
    with pytest.raises(StoreError, match=r"disk is full|No space left"):
        store.finish("step", "cd" * 12, {})
    assert store.is_full()
    assert not store.complete("step", "cd" * 12)
    assert verify(store, "step", FP) == []


def test_read_only_store_reads_and_refuses_writes(tiny_disk: Path) -> None:
    store = finished(tiny_disk / "s")
    remount(tiny_disk, "ro")
    again = Store(tiny_disk / "s")
    assert again.complete("step", FP) and verify(again, "step", FP) == []
    with pytest.raises(StoreError, match="Read-only file system"):
        again.prepare("step", "cd" * 12)
    with pytest.raises(StoreError, match="read-only"):
        Store(tiny_disk / "new").create()
    assert store.root == again.root


def test_folder_without_permission_is_one_message() -> None:
    if os.getuid() != 0:
        pytest.skip("becoming another user needs root")
    folder = Path(tempfile.mkdtemp())  # pytest's own folders are closed to other users
    (folder / "hidden").mkdir(mode=0o700)
    (folder / "open").mkdir(mode=0o555)
    folder.chmod(0o755)
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:  # permission bits don't bind root: look at the store as nobody
        os.setuid(65534)
        for name, use in (("hidden/s", Store), ("open/s", lambda path: Store(path).create())):
            try:
                use(folder / name)
            except StoreError as error:
                os.write(write_end, f"{error}\n".encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(write_end)
    with os.fdopen(read_end) as messages:
        denied = messages.read().splitlines()
    shutil.rmtree(folder)
    assert len(denied) == 2
    assert "hidden/s: can't be used as a store: Permission denied" in denied[0]
    assert "no permission to write there" in denied[1]


def test_disk_trouble_is_told_from_the_works_own_errors(tmp_path: Path) -> None:
    store = finished(tmp_path / "s")
    wrapped = RuntimeError("serialising failed")
    wrapped.__cause__ = OSError(errno.ENOSPC, "No space left on device", "x")
    assert store.storage_failure(wrapped) is not None
    assert store.storage_failure(RuntimeError("I/O error: No space left on device (os error 28)"))
    inside = PermissionError(errno.EACCES, "Permission denied", str(store.root / "f"))
    assert store.storage_failure(inside) is not None
    elsewhere = PermissionError(errno.EACCES, "Permission denied", "/data/rows.jsonl")
    assert store.storage_failure(elsewhere) is None
    assert store.storage_failure(FileNotFoundError(errno.ENOENT, "No such file", "x")) is None


def test_a_study_of_800_results_is_checked_fast(tmp_path: Path) -> None:
    store = Store(tmp_path / "s")
    store.create()
    prints = [f"{index:024x}" for index in range(800)]
    for fp in prints:
        folder = store.prepare("step", fp)
        for name in ("a", "b", "c", "d"):
            (folder / name).write_bytes(b"x")
        files = {name: {"bytes": 1, "sha256": "0" * 64} for name in ("a", "b", "c", "d")}
        (folder / MARKER).write_text(json.dumps({"files": files, "fingerprint": fp}))
    begin = time.perf_counter()
    for fp in prints:  # the least there is to do: read every marker and look at every file
        for name in json.loads((store.folder("step", fp) / MARKER).read_text())["files"]:
            (store.folder("step", fp) / name).stat()
    least, begin = time.perf_counter() - begin, time.perf_counter()
    assert all(store.complete("step", fp) for fp in prints)
    assert time.perf_counter() - begin < 15 * least
