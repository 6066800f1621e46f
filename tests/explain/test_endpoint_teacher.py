"""A teacher behind real HTTP: killed at a random moment, the rerun asks only what isn't on disk."""

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from corpus_helpers import document_for, small_plan, written
from loopback_server import LoopbackServer, Reply, chat_reply, question, used_by

from whyfirst.config.files import read_jsonl
from whyfirst.explain.write import Progress
from whyfirst.models.base import asked
from whyfirst.models.reference import open_model, parse_model

_RUN = """
import sys
from pathlib import Path
from corpus_helpers import written
from whyfirst.models.reference import open_model, parse_model
folder = Path(sys.argv[2])
written(folder, open_model(parse_model(sys.argv[1]), cache=folder), 150)
"""


def _teach(request: dict[str, Any], wait: float = 0.0) -> Reply:
    if request["body"] is None:  # the kill came while it was sent
        return Reply(status=400)
    text = document_for(asked(question(request)))
    reply = chat_reply(text, usage=used_by(200, 300))
    return Reply(reply.body, wait=wait)


def _questions(server: LoopbackServer) -> list[str]:
    return [question(request) for request in server.requests if request["body"] is not None]


def _ids(folder: Path) -> list[str]:
    return [row["id"] for row in read_jsonl(folder / "explanations.jsonl")]


def _built(url: str, folder: Path, documents: int, **more: Any) -> list[str]:
    model = open_model(parse_model(f"endpoint:{url}#m", **more), cache=folder)
    written(folder, model, documents)
    return _ids(folder)


def test_an_endpoint_teaches_and_what_it_bills_is_shown(tmp_path: Path) -> None:
    seen: list[Progress] = []
    with LoopbackServer(_teach) as server:
        reference = parse_model(f"endpoint:{server.url}#m", price_in=1.0, price_out=2.0)
        model = open_model(reference, cache=tmp_path)
        built = written(tmp_path, model, 16, on_batch=seen.append)
        assert len(server.requests) == 16
        again = written(tmp_path, open_model(reference, cache=tmp_path), 16)
        assert len(server.requests) == 16
        more = written(tmp_path, open_model(reference, cache=tmp_path), 20)
        assert len(server.requests) == 20
    last = built.progress
    assert built.spent["teacher"]["completion_tokens"] == 16 * 300
    assert last.a_document("completion_tokens") == 300
    assert last.a_document("cost") == pytest.approx((200 * 1 + 300 * 2) / 1e6)
    assert seen[0].a_document("cost") is not None
    # What was paid before isn't spread over the documents that are taken up first.
    assert again.progress.a_document("completion_tokens") is None
    assert again.spent == built.spent
    assert more.progress.a_document("completion_tokens") == 300


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_killed_at_a_random_moment_the_rerun_ends_with_the_same_records(
    tmp_path: Path, seed: int
) -> None:
    after = random.Random(seed).randint(5, 130)
    folder = tmp_path / "killed"
    small_plan(folder)
    with LoopbackServer(lambda request: _teach(request, wait=0.05)) as server:
        here = str(Path(__file__).parent)
        command = [sys.executable, "-c", _RUN, f"endpoint:{server.url}#m", str(folder)]
        run = subprocess.Popen(command, env={"PYTHONPATH": here, "PATH": ""}, cwd=tmp_path)
        while len(server.requests) < after and run.poll() is None:
            time.sleep(0.005)
        run.send_signal(signal.SIGKILL)
        run.wait()
        time.sleep(0.3)  # what was under way at the server ends
        before = len(_questions(server))
        (store,) = folder.glob("replies-*.jsonl")
        on_disk = len(read_jsonl(store, allow_torn_tail=True))
        assert _built(server.url, folder, 150)
        times = Counter(_questions(server))
        # Only what was under way when the kill came, and so never arrived, is asked again.
        assert len(_questions(server)) == before + len(times) - on_disk
        assert sum(n > 1 for n in times.values()) == before - on_disk
        assert max(times.values()) <= 2
        assert _ids(folder) == _built(server.url, tmp_path / "whole", 150)
