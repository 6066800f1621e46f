"""Replay: the share asked for, spread evenly, the same every time, whatever the files' size."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whyfirst.config.errors import ConfigError, DataError, StoreError
from whyfirst.config.files import read_jsonl
from whyfirst.explain.mix import mix
from whyfirst.explain.tokens import count_pieces


def _write(path: Path, count: int, kind: str, words: int = 9) -> Path:
    rows = (json.dumps({"text": f"{kind} {i} " + "word " * (words + i % 5)}) for i in range(count))
    path.write_text("".join(row + "\n" for row in rows))
    return path


@settings(max_examples=15, deadline=None)
@given(share=st.floats(0.0, 0.8), seed=st.integers(0, 5))
def test_the_share_is_met_and_documents_keep_their_order(
    tmp_path_factory: pytest.TempPathFactory, share: float, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("mix")
    documents, replay = _write(folder / "d", 80, "doc"), _write(folder / "r", 600, "replay")
    mixed = mix(documents, replay, folder / "m", share, seed, count_pieces)
    rows = read_jsonl(folder / "m")
    assert abs(mixed.share - share) < 0.02 and len(rows) == mixed.documents + mixed.replay
    texts = [row["text"] for row in rows]
    assert [t for t in texts if t.startswith("doc")] == [r["text"] for r in read_jsonl(documents)]
    assert len(set(texts)) == len(texts)
    first = (folder / "m").read_bytes()
    mix(documents, replay, folder / "m", share, seed, count_pieces)
    assert (folder / "m").read_bytes() == first
    assert sorted(p.name for p in folder.iterdir()) == ["d", "m", "r"]


def test_replay_is_spread_evenly(tmp_path: Path) -> None:
    documents, replay = _write(tmp_path / "d", 100, "doc"), _write(tmp_path / "r", 500, "replay")
    mix(documents, replay, tmp_path / "m", 0.5, 0, count_pieces)
    kinds = [row["text"][:3] for row in read_jsonl(tmp_path / "m")]
    for start in range(0, 180, 20):
        assert 6 <= kinds[start : start + 20].count("rep") <= 14


def test_packed_replay_is_taken_from_all_of_it(tmp_path: Path) -> None:
    """Its size is of what is packed, and the budget was met by the first tenth of the file."""
    documents, replay = _write(tmp_path / "d", 100, "doc"), _write(tmp_path / "r", 3000, "replay")
    packed = tmp_path / "r.jsonl.gz"
    packed.write_bytes(gzip.compress(replay.read_bytes()))
    for name, file in (("m", replay), ("n", packed)):
        mix(documents, file, tmp_path / name, 0.5, 0, count_pieces)
    assert (tmp_path / "n").read_bytes() == (tmp_path / "m").read_bytes()


def test_a_folder_that_is_a_file_is_told(tmp_path: Path) -> None:
    documents, replay = _write(tmp_path / "d", 20, "doc"), _write(tmp_path / "r", 60, "replay")
    with pytest.raises(StoreError, match="can't be written"):
        mix(documents, replay, tmp_path / "d" / "m", 0.2, 0, count_pieces)


def test_messages_count_and_too_little_text_and_bad_rows_are_named(tmp_path: Path) -> None:
    documents = _write(tmp_path / "d", 20, "doc")
    chat = {"messages": [{"role": "user", "content": "one two three"}]}
    (tmp_path / "r").write_text((json.dumps(chat) + "\n") * 60)
    assert mix(documents, tmp_path / "r", tmp_path / "m", 0.2, 0, count_pieces).replay > 0
    with pytest.raises(DataError, match="lower the share"):
        mix(documents, tmp_path / "r", tmp_path / "m2", 0.9, 0, count_pieces)
    assert not (tmp_path / "m2").exists()
    (tmp_path / "r").write_text('{"text": "a"}\nnot json\n')
    with pytest.raises(DataError, match="row 2: not readable"):
        mix(documents, tmp_path / "r", tmp_path / "m3", 0.5, 0, count_pieces)
    with pytest.raises(ConfigError, match="one of the inputs"):
        mix(documents, tmp_path / "r", documents, 0.5, 0, count_pieces)
    with pytest.raises(ConfigError, match=r"\[0, 1\)"):
        mix(documents, tmp_path / "r", tmp_path / "m4", 1.0, 0, count_pieces)


_CAPPED = """
import resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_AS, (600 * 2**20, 600 * 2**20))
from whyfirst.explain.mix import mix
from whyfirst.explain.tokens import count_pieces
d, r, m = map(Path, sys.argv[1:])
mixed = mix(d, r, m, 0.5, 0, count_pieces)
print(mixed.share, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.slow
def test_two_gigabytes_are_mixed_in_little_memory(tmp_path: Path) -> None:
    _write(tmp_path / "d", 5000, "doc", 60)
    line = "lorem ipsum dolor sit amet " * 70
    with (tmp_path / "r").open("w") as handle:
        for i in range(1_100_000):
            handle.write(f'{{"text": "{i} {line}"}}\n')
    assert (tmp_path / "r").stat().st_size > 2 * 10**9
    command = [sys.executable, "-c", _CAPPED, *(str(tmp_path / n) for n in "drm")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-500:]
    share, megabytes = done.stdout.split()
    assert abs(float(share) - 0.5) < 0.01 and int(megabytes) < 300
