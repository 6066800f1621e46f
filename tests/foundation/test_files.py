"""Files: nothing half written, canonical bytes, unreadable rows named."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whyfirst.config.errors import DataError, StoreError
from whyfirst.config.files import (
    append_jsonl,
    atomic_write,
    iter_jsonl,
    read_json,
    read_jsonl,
    replacing,
    sha256_file,
    sha256_json,
    write_json,
    write_jsonl,
)

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def _python(code: str, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *args], capture_output=True, text=True
    )


def test_write_makes_folders_and_leaves_no_temporary_file(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b" / "ü.txt"
    atomic_write(target, "grüße")
    assert target.read_bytes() == "grüße".encode()
    assert [p.name for p in target.parent.iterdir()] == ["ü.txt"]


def test_write_through_a_symlink_keeps_the_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real.json", tmp_path / "link.json"
    atomic_write(real, b"1")
    link.symlink_to(real)
    atomic_write(link, b"2")
    assert link.is_symlink()
    assert real.read_bytes() == b"2"


def test_file_too_large_is_a_store_error_and_keeps_the_old_content(tmp_path: Path) -> None:
    target = tmp_path / "x.bin"
    target.write_bytes(b"old")
    code = """
        import resource, sys
        from pathlib import Path
        from whyfirst.config.errors import StoreError
        from whyfirst.config.files import append_jsonl, atomic_write
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        path = Path(sys.argv[1])
        for write in (lambda: atomic_write(path, b"x" * 5000),
                      lambda: append_jsonl(path.with_name("rows.jsonl"), {"a": "x" * 5000})):
            try:
                write()
            except StoreError as error:
                print(error)
    """
    append_jsonl(tmp_path / "rows.jsonl", {"a": 1})
    done = _python(code, str(target))
    assert done.stdout.count("size limit") == 2, done.stderr
    assert str(target) in done.stdout
    assert target.read_bytes() == b"old"
    assert read_jsonl(tmp_path / "rows.jsonl") == [{"a": 1}]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["rows.jsonl", "x.bin"]


def test_full_disk_is_a_store_error_and_keeps_the_old_content(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("no permission to mount a small tmpfs")
    try:
        atomic_write(disk / "x", b"old")
        with pytest.raises(StoreError, match="disk is full"):
            atomic_write(disk / "x", b"x" * 200_000)
        assert (disk / "x").read_bytes() == b"old"
        assert [p.name for p in disk.iterdir()] == ["x"]
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        with pytest.raises(StoreError, match="read-only"):
            atomic_write(disk / "x", b"new")
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_folder_in_place_of_a_file_is_a_store_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=str(tmp_path)):
        atomic_write(tmp_path, b"x")
    assert list(tmp_path.parent.glob("*.tmp")) == []


def test_reader_never_sees_a_mixture_of_two_writers(tmp_path: Path) -> None:
    target = tmp_path / "x"
    contents = [bytes([65 + i]) * 200_000 for i in range(3)]
    atomic_write(target, contents[0])
    stop = threading.Event()

    def write(content: bytes) -> None:
        while not stop.is_set():
            atomic_write(target, content)

    threads = [threading.Thread(target=write, args=(c,)) for c in contents]
    for thread in threads:
        thread.start()
    try:
        for _ in range(200):
            assert target.read_bytes() in contents
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_killed_writer_leaves_the_old_or_the_new_content(tmp_path: Path) -> None:
    target = tmp_path / "x"
    atomic_write(target, b"0" * 300_000)
    code = """
        import sys
        from pathlib import Path
        from whyfirst.config.files import atomic_write
        print("go", flush=True)
        while True:
            for digit in b"01":
                atomic_write(Path(sys.argv[1]), bytes([digit]) * 300_000)
    """
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code), str(target)], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert target.read_bytes() in (b"0" * 300_000, b"1" * 300_000)


def test_json_bytes_are_canonical(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"b": [1, 2.5], "a": "é"})
    assert (tmp_path / "x.json").read_text(encoding="utf-8") == (
        '{\n "a": "é",\n "b": [\n  1,\n  2.5\n ]\n}\n'
    )


@given(JSON)
def test_json_survives_the_round_trip(value: object) -> None:
    path = Path(os.environ.get("TMPDIR", "/tmp")) / f"whyfirst-test-{os.getpid()}.json"
    try:
        write_json(path, value)
        assert read_json(path) == value
        assert write_jsonl(path, [{"v": value}, {"v": 1}]) == 2
        assert read_jsonl(path) == [{"v": value}, {"v": 1}]
    finally:
        path.unlink()


def test_lone_surrogate_survives_the_round_trip(tmp_path: Path) -> None:
    text = json.loads('"\\ud800 x"')
    write_json(tmp_path / "x.json", text)
    assert read_json(tmp_path / "x.json") == text
    append_jsonl(tmp_path / "x.jsonl", {"t": text})
    assert read_jsonl(tmp_path / "x.jsonl") == [{"t": text}]
    assert len(sha256_json(text)) == 64


def test_lone_surrogate_reaches_a_tokenizer_where_text_is_wanted(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    whole = '{"t": "\\ud83d\\ude00 \\\\ud83d"}\n'  # an emoji, and a backslash with letters
    path.write_text(whole + '{"a": ["\\uD83D"]}\n')
    assert len(read_jsonl(path)) == 2  # as a reply of a model may be kept
    with pytest.raises(DataError, match=r"x\.jsonl: row 2: not valid Unicode: .ud83d is a lone"):
        list(iter_jsonl(path, whole_characters=True))
    path.write_text(whole)
    assert list(iter_jsonl(path, whole_characters=True)) == [(1, {"t": "\U0001f600 \\ud83d"})]


def test_nan_is_refused_both_ways(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        write_json(tmp_path / "x.json", {"a": float("nan")})
    assert not (tmp_path / "x.json").exists()
    (tmp_path / "y.json").write_text('{"a": NaN}')
    with pytest.raises(DataError, match="NaN"):
        read_json(tmp_path / "y.json")


@pytest.mark.parametrize("row", ["{", "[1]", '"text"', "3", "\xff"])
def test_unreadable_row_is_named_by_file_and_number(tmp_path: Path, row: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"a": 1}\n\n' + row.encode("latin-1") + b'\n{"a": 2}\n')
    with pytest.raises(DataError, match=r"x\.jsonl: row 3: "):
        read_jsonl(path)


def test_line_separators_inside_a_text_do_not_cut_the_row(tmp_path: Path) -> None:
    rows = [{"t": "a\u2028b\u0085c\x0b\r\n"}]
    write_jsonl(tmp_path / "x.jsonl", rows)
    assert read_jsonl(tmp_path / "x.jsonl") == rows


def test_append_after_a_torn_row_keeps_every_whole_row(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    append_jsonl(path, {"a": 1})
    with path.open("ab") as handle:
        handle.write(b'{"a": 2')
    with pytest.raises(DataError, match="row 2"):
        read_jsonl(path)
    assert read_jsonl(path, allow_torn_tail=True) == [{"a": 1}]
    append_jsonl(path, {"a": 3})
    assert read_jsonl(path) == [{"a": 1}, {"a": 3}]


def test_append_finds_the_end_behind_a_long_torn_row(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"a": 1}\n' + b"x" * 200_000)
    append_jsonl(path, {"a": 2})
    assert read_jsonl(path) == [{"a": 1}, {"a": 2}]


def test_missing_file_is_named() -> None:
    for read in (read_json, read_jsonl, sha256_file):
        with pytest.raises(DataError, match=r"nowhere/x\.jsonl"):
            read(Path("nowhere/x.jsonl"))


def test_hashes_match_known_values_and_ignore_key_order(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_file(tmp_path / "x") == known
    assert sha256_json({"a": 1, "b": 2}) == sha256_json({"b": 2, "a": 1})
    assert sha256_json({"a": 1}) != sha256_json({"a": 1.5})


def test_umask_is_respected(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        atomic_write(tmp_path / "x", b"1")
    finally:
        os.umask(old)
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o640


def test_a_zip_that_unpacks_to_too_much_is_refused_before_it_is(tmp_path: Path) -> None:
    import zipfile

    from whyfirst.config.bounded import check_zip

    with zipfile.ZipFile(tmp_path / "bomb.eval", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("header.json", b"0" * 2**22)
    check_zip(tmp_path / "bomb.eval")
    with pytest.raises(DataError, match="unpacks to 4 MiB in 1 files; at most 1 MiB"):
        check_zip(tmp_path / "bomb.eval", most=2**20)
    (tmp_path / "none.eval").write_bytes(b"PK not a zip")
    with pytest.raises(DataError, match="can't be read as a zip"):
        check_zip(tmp_path / "none.eval")


def test_what_killed_writes_leave_piles_up(tmp_path: Path) -> None:
    """Each kill left another temporary file, in a report's folder for good."""
    target = tmp_path / "x.json"
    script = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        "from whyfirst.config.files import replacing\n"
        "with replacing(Path(sys.argv[1])) as file:\n"
        "    file.write(b'half' * 9000)\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    for _ in range(3):
        subprocess.run([sys.executable, "-c", script, str(target)], check=False)
    assert len(list(tmp_path.iterdir())) == 1
    atomic_write(target, b"whole")
    assert list(tmp_path.iterdir()) == [target] and target.read_bytes() == b"whole"


def test_writer_takes_over_what_another_is_writing(tmp_path: Path) -> None:
    target = tmp_path / "x.json"
    with replacing(target) as first:
        first.write(b"first")
        first.flush()
        with replacing(target) as second:
            second.write(b"second")
        assert target.read_bytes() == b"second"
    assert target.read_bytes() == b"first" and list(tmp_path.iterdir()) == [target]


def test_writer_writes_through_what_lies_under_the_temporary_name(tmp_path: Path) -> None:
    target, other = tmp_path / "x.json", tmp_path / "other"
    other.write_bytes(b"mine")
    with replacing(target) as file:
        (name,) = (p.name for p in tmp_path.iterdir() if p != other)
        file.write(b"1")
    for make in (os.symlink, os.link):
        make(other, tmp_path / name)
        atomic_write(target, b"2")
        assert other.read_bytes() == b"mine" and target.read_bytes() == b"2"
        (tmp_path / name).unlink()
