"""A stage that is asked to end keeps what it did; its log can be read while it trains."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from whyfirst.config.files import read_jsonl, sha256_file
from whyfirst.train.config import GRPOStage, PPOStage, SFTStage
from whyfirst.train.run import run_stage

SFT = SFTStage(updates=40, batch_size=4, learning_rate=3e-3)
ONLINE: dict[str, Any] = {
    "updates": 12, "max_length": 24, "max_new_tokens": 5, "rewards": ({"name": "length"},),
    "learning_rate": 1e-3,
}  # fmt: skip
STAGES = {
    "sft": (SFT, "demonstrations", 13, 20),
    "grpo": (GRPOStage(**ONLINE, batch_size=8, group_size=4, iterations=2), "prompts", 5, 6),
    "ppo": (PPOStage(**ONLINE, batch_size=8, minibatch_size=4, critic="shared"), "prompts", 5, 6),
}


@pytest.mark.parametrize("kind", STAGES)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_short_stage_begins_anew(
    bases: dict[str, Path], data: dict[str, Path], tmp_path: Path, kind: str, number: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """No periodic checkpoint falls into these stages; the one the signal asks for is continued."""
    if number == signal.SIGTERM and kind != "sft":
        pytest.skip("one kind is enough for the second signal")
    from whyfirst.train import watch

    monkeypatch.setattr(watch, "_MOST_LOST", float("inf"))
    config, name, at, saved = STAGES[kind]
    given = {name: data[name]}
    seen: list[int] = []

    def interrupt(step: int, *_: Any) -> None:
        seen.append(step)
        if step >= at and len(seen) and not os.environ.get("INTERRUPTED"):
            monkeypatch.setenv("INTERRUPTED", "1")
            os.kill(os.getpid(), number)

    # Progress is throttled by the clock; each update must be seen.
    ticks = iter(range(10**6))
    monkeypatch.setattr(watch.time, "monotonic", lambda: float(next(ticks)))
    with pytest.raises(KeyboardInterrupt if number == signal.SIGINT else SystemExit):
        run_stage(config, bases["llama"], given, tmp_path / "a", 0, interrupt)
    assert (tmp_path / "a" / "checkpoints" / f"checkpoint-{saved}").is_dir()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    seen.clear()
    run_stage(config, bases["llama"], given, tmp_path / "a", 0, interrupt)
    assert seen[0] == saved + 1
    run_stage(config, bases["llama"], given, tmp_path / "b", 0)
    for file in ("model/model.safetensors", "log.jsonl", "stage.json"):
        assert sha256_file(tmp_path / "a" / file) == sha256_file(tmp_path / "b" / file)


def test_a_killed_short_stage_loses_more_than_a_minute(
    bases: dict[str, Path], data: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from whyfirst.train import watch

    class _KilledError(Exception):
        pass

    def kill(step: int, *_: Any) -> None:
        if step >= 35:
            raise _KilledError

    ticks = iter(range(0, 10**9, 10))
    monkeypatch.setattr(watch.time, "monotonic", lambda: float(next(ticks)))
    with pytest.raises(_KilledError):
        run_stage(
            SFT, bases["llama"], {"demonstrations": data["demonstrations"]}, tmp_path, 0, kill
        )
    assert (tmp_path / "checkpoints" / "checkpoint-30").is_dir()


def test_the_log_appears_when_all_is_over(
    bases: dict[str, Path], data: dict[str, Path], tmp_path: Path
) -> None:
    rows: list[int] = []

    def look(*_: Any) -> None:
        file = tmp_path / "log.jsonl"
        rows.append(len(read_jsonl(file)) if file.is_file() else 0)

    given = {"demonstrations": data["demonstrations"], "prompts": data["prompts"]}
    run_stage(SFT, bases["llama"], given, tmp_path, 0, look)
    assert max(rows) >= 3 and len(read_jsonl(tmp_path / "log.jsonl")) == 5
