"""`whyfirst card`: the folder sent is the folder seen, and nothing is sent by itself."""

import base64
import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cli_helpers import RunHere, one_object

from whyfirst.study.execute.store import Store
from whyfirst.study.running import RunPlace, note_run

TOKEN = "hf_secretofthistest"
MARK = "ab" * 12


class Hub:
    """A server on loopback with the Hub's endpoints that an upload of small files takes."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.made: dict[str, Any] = {}
        self.files: dict[str, bytes] = {}
        self.tokens: set[str] = set()
        self.refuses = False
        self.private = True
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                assert self.path.startswith("/api/models/someone/arm"), self.path
                self.answer(200, {"id": "someone/arm", "private": hub.private, "tags": []})

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                hub.asked.append(self.path)
                hub.tokens.add(str(self.headers.get("Authorization")))
                status, reply = (403, {"error": "no"}) if hub.refuses else (200, hub.reply(raw))
                self.answer(status, reply)

            def answer(self, status: int, reply: dict[str, Any]) -> None:
                payload = json.dumps(reply).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def reply(self, raw: bytes) -> dict[str, Any]:
        path = self.asked[-1]
        if path.endswith("/repos/create"):
            self.made = json.loads(raw)
            return {"url": f"{self.url}/someone/arm"}
        if path.endswith("/validate-yaml"):
            return {"errors": [], "warnings": []}
        if "/preupload/" in path:
            names = [file["path"] for file in json.loads(raw)["files"]]
            modes = {"uploadMode": "regular", "shouldIgnore": False}
            return {"files": [{"path": name, **modes} for name in names]}
        assert "/commit/" in path, path
        for line in raw.splitlines():
            row = json.loads(line)
            if row["key"] == "file":
                self.files[row["value"]["path"]] = base64.b64decode(row["value"]["content"])
        return {"success": True, "commitUrl": f"{self.url}/someone/arm/commit/c0ffee",
                "commitOid": "c0ffee"}  # fmt: skip


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The Hub of this test, which `huggingface_hub` takes for the real one."""
    found = Hub()
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", found.url)
    threading.Thread(target=found.server.serve_forever, args=(0.01,), daemon=True).start()
    yield found
    found.server.shutdown()
    found.server.server_close()


def test_a_public_repository_that_is_there_already_gets_nothing(
    run_folder: Path, run_here: RunHere, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Hub ignores `private` for a repository that exists, and weights were published."""
    monkeypatch.setenv("MY_TOKEN", TOKEN)
    hub.private = False
    push = ("--push-to-hub", "someone/arm", "--token-env", "MY_TOKEN")
    code, _, err = run_here(*arguments(run_folder, "--out", str(run_folder / "hub"), *push))
    assert code == 2 and "already and public" in err
    assert hub.files == {}


@pytest.fixture
def run_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run's folder, and beside it a store with one arm's model of seed 0."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent / "report"))
    from report_synthetic import synthetic_results

    sys.modules.pop("report_synthetic", None)
    results = synthetic_results()
    stages = results["arms"]["explain_first"]["stages"]
    results["fingerprints"][f"seed0/{'>'.join(stages)}"] = MARK
    run = tmp_path / "run"
    (run / "report").mkdir(parents=True)
    (run / "report" / "results.json").write_text(json.dumps(results))
    store = Store(tmp_path / "store")
    store.create()
    model = store.prepare("stage", MARK) / "model"
    model.mkdir()
    config = {"model_type": "llama", "_name_or_path": str(tmp_path / "base")}
    (model / "config.json").write_text(json.dumps(config))
    (model / "tokenizer.json").write_text("{}")
    (model / "model.safetensors").write_bytes(b"weights")
    (model / "optimizer.pt").write_bytes(b"no business of anybody")
    store.finish("stage", MARK, {})
    return run


def arguments(run: Path, *more: str) -> tuple[str, ...]:
    return ("card", str(run), "explain_first", "--store", str(run.parent / "store"), *more)


def test_the_card_is_printed_and_nothing_sent(
    run_folder: Path, run_here: RunHere, hub: Hub
) -> None:
    """A card could be had from Python only."""
    code, out, _ = run_here("card", str(run_folder), "explain_first")
    assert code == 0 and out.startswith("---\nlibrary_name: transformers")
    assert hub.asked == []


def test_the_folder_holds_the_card_and_the_model_and_no_place(
    run_folder: Path, run_here: RunHere, hub: Hub
) -> None:
    """What else lay beside the weights, and where the base lay, would have been published."""
    out = run_folder.parent / "hub"
    code, printed, _ = run_here(*arguments(run_folder, "--out", str(out), "--json"))
    assert code == 0
    names = ["README.md", "config.json", "model.safetensors", "tokenizer.json"]
    assert one_object(printed)["files"] == names == sorted(p.name for p in out.iterdir())
    assert json.loads((out / "config.json").read_text()) == {"model_type": "llama"}
    assert hub.asked == []  # off by default
    code, _, err = run_here(*arguments(run_folder, "--out", str(out)))
    assert code == 2 and "there is something already" in err


def test_what_is_sent_is_the_folder(
    run_folder: Path, run_here: RunHere, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Hub got other files than the ones looked at, or a public repository."""
    import huggingface_hub

    monkeypatch.setenv("MY_TOKEN", TOKEN)
    out = run_folder.parent / "hub"
    push = ("--out", str(out), "--push-to-hub", "someone/arm", "--token-env", "MY_TOKEN")
    code, printed, err = run_here(*arguments(run_folder, *push, "--json"))
    assert code == 0, err
    assert one_object(printed)["url"] == f"{hub.url}/someone/arm/commit/c0ffee"
    assert hub.files == {path.name: path.read_bytes() for path in out.iterdir()}
    assert (hub.made["name"], hub.made["organization"]) == ("arm", "someone")
    assert hub.made.get("visibility") == "private" or hub.made.get("private") is True
    assert hub.tokens == {f"Bearer {TOKEN}"}
    assert not any(TOKEN.encode() in content for content in hub.files.values())
    assert TOKEN not in printed + err
    # The evaluation results, as the Hub's own parser reads them.
    card = huggingface_hub.ModelCard(hub.files["README.md"].decode())
    results = json.loads((run_folder / "report" / "results.json").read_text())
    cells = results["arms"]["explain_first"]["benchmarks"]
    found = {row.metric_type: row.metric_value for row in card.data.eval_results}
    assert found == {name: cells[name]["*/*"]["value"] for name in cells}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--push-to-hub", "someone/arm"), "sends the folder of --out"),
        (("--out", "OUT", "--push-to-hub", "arm"), "is no repository id"),
        (("--out", "OUT", "--push-to-hub", "a/../b"), "is no repository id"),
        (("--out", "OUT", "--push-to-hub", "a/b", "--token-env", "NOTHING_THERE"), "is empty"),
        (("--out", "OUT", "--seed", "99"), "was trained with seeds"),
        (("--out", "OUT", "--seed", "1"), "name the run's store with --store"),
    ],
)
def test_a_push_that_cannot_be_meant_is_refused(
    run_folder: Path, run_here: RunHere, hub: Hub, more: tuple[str, ...], said: str
) -> None:
    """A slip sent a model somewhere."""
    given = [str(run_folder.parent / "hub") if word == "OUT" else word for word in more]
    code, _, err = run_here(*arguments(run_folder, *given))
    assert code == 2 and said in " ".join(err.split())
    assert hub.asked == []


def test_a_refusal_of_the_hub_is_one_message_without_the_token(
    run_folder: Path, run_here: RunHere, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was a traceback, and libraries print requests in them."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.refuses = True
    push = ("--out", str(run_folder.parent / "hub"), "--push-to-hub", "someone/arm")
    code, out, err = run_here(*arguments(run_folder, *push))
    assert code == 2 and "someone/arm" in err and "403" in err
    assert TOKEN not in out + err


def test_an_arm_that_is_none_or_the_base_is_refused(run_folder: Path, run_here: RunHere) -> None:
    """Somebody else's base model would have been published under one's own name."""
    code, _, err = run_here("card", str(run_folder), "explain_frist")
    assert code == 2 and "is not an arm of this study" in err
    results = json.loads((run_folder / "report" / "results.json").read_text())
    results["fingerprints"]["base"] = MARK
    (run_folder / "report" / "results.json").write_text(json.dumps(results))
    store = run_folder.parent / "store"
    (store / "base").mkdir()
    (store / "stage" / MARK).rename(store / "base" / MARK)
    code, _, err = run_here(
        "card", str(run_folder), "base", "--store", str(store), "--out", str(store.parent / "hub")
    )
    assert code == 2 and "it is the base model" in " ".join(err.split())


def test_a_run_s_own_store_had_to_be_named(
    run_folder: Path, run_here: RunHere, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From another folder `card` asked for --store, which run.json says."""
    study, elsewhere = run_folder.parent / "study.yaml", run_folder.parent / "elsewhere"
    study.write_text("")
    note_run(run_folder, RunPlace(study, run_folder.parent / "store"))
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    words = ("card", str(run_folder), "explain_first", "--out")
    code, _, err = run_here(*words, str(elsewhere / "hub"))
    assert code == 0 and (elsewhere / "hub" / "model.safetensors").is_file(), err
    (run_folder.parent / "store").rename(run_folder.parent / "moved")
    code, _, err = run_here(*words, str(elsewhere / "again"))
    assert code == 2 and "name the run's store with --store" in err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--seed", "1"], "--seed: with --out"),
        (["--store", "elsewhere"], "--store: with --out"),
        (["--token-env", "TOKEN"], "--token-env: is of --push-to-hub"),
        (["--token-env", "TOKEN", "--out", "hub"], "--token-env: is of --push-to-hub"),
    ],
)
def test_an_option_of_a_folder_does_nothing_to_a_card_alone(
    run_folder: Path, run_here: RunHere, given: list[str], said: str
) -> None:
    code, _, err = run_here("card", str(run_folder), "explain_first", *given)
    assert code == 2 and said in " ".join(err.split())
