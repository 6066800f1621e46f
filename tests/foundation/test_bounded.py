"""Hostile and broken files end in one message, soon and in bounded memory."""

import gzip
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from whyfirst.config.bounded import MOST_DEPTH, parse_json, read_lines
from whyfirst.config.errors import DataError, StoreError
from whyfirst.config.files import (
    append_jsonl,
    atomic_write,
    disk_refusal,
    iter_jsonl,
    read_json,
    read_jsonl,
    sha256_file,
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 200_000, "nested more than 100 deep"),
        ('{"a":' * 300 + "1" + "}" * 300, "nested more than 100 deep"),
        ("1" * 5_000_000, "a whole number of 5000000 digits is too large"),
        (str(2**64), "a whole number of 20 digits is too large"),
        ("-1e400", "the number -1e400 is too large"),
        ("NaN", "NaN is not JSON"),
        ("-Infinity", "-Infinity is not JSON"),
    ],
)
def test_a_value_no_machine_holds_is_a_traceback(text: str, said: str) -> None:
    started = time.monotonic()
    with pytest.raises(ValueError, match=said):
        parse_json(text)
    assert time.monotonic() - started < 5


def test_honest_values_near_the_bounds_are_refused() -> None:
    deep = "[" * MOST_DEPTH + "]" * MOST_DEPTH
    assert parse_json(deep) == parse_json(deep.encode())
    assert parse_json(f"[{2**64 - 1}, {-(2**63)}, 1e308, 0.{'1' * 400}]")[:2] == [
        2**64 - 1,
        -(2**63),
    ]
    assert parse_json("[" + ",".join(["[{}]"] * 500) + "]")[-1] == [{}]
    assert parse_json('{"sha": "e123e456", "t": "99999999999999999999999"}')["sha"] == "e123e456"


def test_other_tools_nan_is_taken_where_it_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"a": NaN, "b": -Infinity, "c": 1e999}\n')
    with pytest.raises(DataError, match=r"x\.jsonl: row 1: .* NaN is not JSON"):
        read_jsonl(tmp_path / "x.jsonl")
    [row] = read_jsonl(tmp_path / "x.jsonl", nan=True)
    assert row["a"] != row["a"] and row["b"] == -row["c"] == float("-inf")


@pytest.mark.parametrize("ending", ["json", "jsonl", "jsonl.gz"])
def test_a_byte_order_mark_is_read_as_part_of_the_text(tmp_path: Path, ending: str) -> None:
    data = b'\xef\xbb\xbf{"a": 1}\n'
    path = tmp_path / f"x.{ending}"
    path.write_bytes(gzip.compress(data) if ending.endswith("gz") else data)
    assert (read_json(path) if ending == "json" else read_jsonl(path)[0]) == {"a": 1}


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_another_encoding_is_a_traceback_of_codecs(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "x.json").write_bytes('{"a": "é"}'.encode(encoding))
    with pytest.raises(DataError, match=r"x\.json: .*not UTF-8 text \(.*save it as UTF-8"):
        read_json(tmp_path / "x.json")


def test_rows_are_numbered_as_lines_over_blocks_and_blanks(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    blank = b"\n" * 2_500_000
    path.write_bytes(blank + b'{"a": "' + b"x" * 3_000_000 + b'"}\r\n \n' + blank + b'{"a": 2}')
    assert [number for number, _ in iter_jsonl(path)] == [2_500_001, 5_000_003]
    assert [number for number, _ in read_lines(path, whole_only=True)] == [2_500_001]


def test_a_gzip_bomb_fills_the_memory(tmp_path: Path) -> None:
    """Two gigabytes of blank lines, and of one line, in two megabytes."""
    code = """
        import resource, sys
        from pathlib import Path
        from whyfirst.config.errors import DataError
        from whyfirst.config.files import read_json, read_jsonl
        resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
        for read, name in ((read_jsonl, "blank"), (read_jsonl, "one"), (read_json, "one")):
            try:
                read(Path(sys.argv[1]) / f"{name}.jsonl.gz")
            except DataError as error:
                print(error)
    """
    for name, byte in (("blank", b"\n"), ("one", b"1")):
        piece = gzip.compress(byte * 2**26, 1)
        (tmp_path / f"{name}.jsonl.gz").write_bytes(piece * 24)
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(line[8:] for line in code.split("\n")), str(tmp_path)],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert "blank.jsonl.gz: unpacks to over 1024 MiB" in done.stdout, done.stderr
    assert "one.jsonl.gz: row 1: over 64 MiB" in done.stdout
    assert "one.jsonl.gz: more than 256 MiB" in done.stdout


def test_a_path_that_is_none_and_a_pipe_are_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for read in (read_json, read_jsonl, sha256_file):
        with pytest.raises(DataError, match="null byte"):
            read(Path("a\0b"))
        with pytest.raises(DataError, match="pipe: can't be read: it is no plain file"):
            read(tmp_path / "pipe")
        with pytest.raises(DataError, match="Is a directory"):
            read(tmp_path)
    with pytest.raises(StoreError, match="null byte"):
        atomic_write(Path("a\0b"), b"x")
    with pytest.raises(StoreError, match="null byte"):
        append_jsonl(tmp_path / "a\0b", {})


def test_new_folders_and_names_are_not_on_the_disk_after_a_power_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    real = os.open

    def noted(path: str, *rest: int) -> int:
        synced.append(str(path))
        return real(path, *rest)

    monkeypatch.setattr(os, "open", noted)
    atomic_write(tmp_path / "a" / "b" / "x", b"1")
    append_jsonl(tmp_path / "c" / "y.jsonl", {})
    for name in ("", "a", "a/b", "c"):
        assert str(tmp_path / name) in synced or str(tmp_path / name) + "/" in synced


@pytest.mark.parametrize("number", [28, 122, 27, 30])
def test_a_refusal_of_the_disk_is_taken_for_a_fault_of_the_work(number: int) -> None:
    """Of the four, only a full disk was known behind a library's own error."""
    wrapped = RuntimeError(f"I/O error: {os.strerror(number)} (os error {number})")
    chained = ValueError("x")
    chained.__cause__ = OSError(number, os.strerror(number))
    for error in (wrapped, chained, OSError(number, "x")):
        found = disk_refusal(error)
        assert found is not None and found.errno == number
    assert disk_refusal(DataError("File too large, said the reply")) is None
    assert disk_refusal(ValueError("x")) is None
