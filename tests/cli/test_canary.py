"""A key that a hostile server echoes in any part of its replies reaches no file and no output."""

from pathlib import Path
from typing import Any

import pytest
from cli_helpers import RunHere
from loopback_server import LoopbackServer, Reply

SECRET = "sk-canary-0123456789abcdef"

HOSTILE: dict[str, Any] = {
    "a completion": lambda: Reply(_chat(f"I was sent {SECRET}.")),
    "half of a completion": lambda: Reply(_chat("x" * 3000 + SECRET)),
    "the reason it ended": lambda: Reply(_chat("a", SECRET)),
    "the name of the model": lambda: Reply(_chat("a") | {"model": SECRET, SECRET: SECRET}),
    "a reason for refusing": lambda: Reply({"error": {"message": "k" * 390 + SECRET}}, 400),
    "a page in place of a reply": lambda: Reply(f"<html>{SECRET}</html>"),
    "an error inside a 200": lambda: Reply({"error": {"message": SECRET, "code": 401}}),
    "a redirect": lambda: Reply(SECRET, 307, {"Location": f"/{SECRET}"}),
    "a wrong key": lambda: Reply({"detail": [f"Bearer {SECRET}"]}, 403),
}


def _chat(text: str, finish: str = "stop") -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    choices = [{"index": 0, "message": message, "finish_reason": finish}]
    return {"choices": choices, "usage": {"prompt_tokens": 1, "completion_tokens": 1}}


@pytest.mark.parametrize("json", [(), ("--json",)], ids=["words", "json"])
@pytest.mark.parametrize("what", HOSTILE)
def test_a_key_that_is_echoed_gets_out(
    what: str, json: tuple[str, ...], run_here: RunHere, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("TINY_KEY", SECRET)
    rows = "".join(f"{i},homonyms,How do I kill process number {i}?,safe\n" for i in range(3))
    (tmp_path / "x.csv").write_text("id,type,prompt,label\n" + rows)
    with LoopbackServer(lambda request: HOSTILE[what]()) as server:
        code, printed, told = run_here(
            "eval", "--model", f"endpoint:{server.url}#m", "--key-env", "TINY_KEY",
            "--benchmarks", "xstest", "--data", str(tmp_path / "x.csv"),
            "--out", str(tmp_path / "items.jsonl"), *json,
        )  # fmt: skip
    assert server.requests[0]["headers"]["Authorization"] == f"Bearer {SECRET}"
    seen = printed + told
    seen += "".join(
        path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file()
    )
    # Neither the key nor the half of it that a cut would leave.
    assert code in (0, 2) and SECRET[:16] not in seen
