"""Killed stages: continued from the newest whole checkpoint, ending with the same bytes."""

import itertools
import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from whyfirst.config.errors import StoreError, TrainingStopped
from whyfirst.config.files import sha256_file
from whyfirst.train.checkpoint import COMPLETE, newest_complete
from whyfirst.train.config import (
    DPOStage,
    ExplainStage,
    GRPOStage,
    KTOStage,
    LoraConfig,
    RewardStage,
    RLOOStage,
    SFTStage,
)
from whyfirst.train.prefer import KEPT
from whyfirst.train.run import run_stage

GROUPS: dict[str, Any] = {
    "batch_size": 8, "group_size": 4, "max_length": 24, "max_new_tokens": 5,
    "learning_rate": 3e-3, "rewards": ({"name": "length"}, {"name": "repetition"}),
}  # fmt: skip
GOLD = {"name": "repetition", "every": 7, "options": {"size": 2}}
STAGES: dict[str, tuple[str, Any, tuple[str, ...]]] = {
    # phi has dropout here: its resume needs the random state too.
    "explain": (
        "phi",
        ExplainStage(updates=25, batch_size=4, learning_rate=3e-3, replay=0.5, schedule="linear",
                     checkpoint_every=10, keep_at=(3, 22)),
        ("documents", "replay"),
    ),
    "sft": (
        "llama",
        SFTStage(updates=45, batch_size=4, learning_rate=3e-3, micro_batch_size=2,
                 checkpoint_every=10),
        ("demonstrations",),
    ),
    "dpo": (
        "llama",
        DPOStage(updates=25, batch_size=4, learning_rate=1e-3, checkpoint_every=10),
        ("pairs",),
    ),
    "kto": (
        "llama",
        KTOStage(updates=25, batch_size=4, learning_rate=1e-3, checkpoint_every=10),
        ("responses",),
    ),
    "reward": (
        "phi",
        RewardStage(updates=25, batch_size=4, learning_rate=1e-3, checkpoint_every=10),
        ("pairs",),
    ),
    "rloo": (
        "llama",
        RLOOStage(updates=25, checkpoint_every=10, gold=GOLD, micro_batch_size=4, **GROUPS),
        ("prompts",),
    ),
    "grpo": (
        "llama",
        GRPOStage(updates=25, checkpoint_every=10, gold=GOLD, iterations=2, **GROUPS),
        ("prompts",),
    ),
    "lora": (
        "phi",
        SFTStage(updates=25, batch_size=4, learning_rate=3e-3, checkpoint_every=10,
                 lora=LoraConfig(r=2, dropout=0.1), keep_at=(7,)),
        ("demonstrations",),
    ),
    # The frozen copy of the adapter it started from is in the checkpoint too.
    "continued": (
        "adapter",
        RLOOStage(updates=25, checkpoint_every=10, adapter="continue", gold=GOLD,
                  lora=LoraConfig(r=2, merge=False), **GROUPS),
        ("prompts",),
    ),
}  # fmt: skip


class _StopError(Exception):
    pass


def _contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): sha256_file(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "timing.json"
    }


def _run(kind: str, bases: dict[str, Path], data: dict[str, Path], out: Path, **more: Any) -> None:
    base, config, names = STAGES[kind]
    config = config.model_copy(update=more.pop("change", {}))
    run_stage(config, bases[base], {n: data[n] for n in names}, out, 5, **more)


def _stop_after(step: int) -> Any:
    def progress(done: int, total: int, message: str) -> None:
        if done >= step:
            raise _StopError

    return progress


@pytest.fixture(scope="module")
def bases(
    bases: dict[str, Path], data: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """The models to start from, and an adapter on one of them."""
    out = tmp_path_factory.mktemp("adapter")
    config = SFTStage(updates=10, batch_size=4, lora=LoraConfig(r=2, merge=False))
    run_stage(config, bases["llama"], data, out, 5)
    return bases | {"adapter": out / "model"}


class _Unbroken(dict[str, Path]):
    """Finished runs by kind, each made when it is first asked for."""

    def __init__(self, make: Callable[[str], Path]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, kind: str) -> Path:
        self[kind] = self._make(kind)
        return self[kind]


@pytest.fixture(scope="module")
def unbroken(
    bases: dict[str, Path], data: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("unbroken")

    def make(kind: str) -> Path:
        _run(kind, bases, data, folder / kind)
        return folder / kind

    return _Unbroken(make)


@pytest.fixture(autouse=True)
def _every_update_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Progress is throttled by the clock; here each update must be seen."""
    from whyfirst.train import watch

    ticks = itertools.count()
    monkeypatch.setattr(watch, "time", SimpleNamespace(monotonic=lambda: float(next(ticks))))


# Each kind is broken off once in the fast tests: killed below, or, adapters and dropout, here.
STOPPED = ("explain", "continued")
KILLED = [kind for kind in STAGES if kind not in ("lora", "continued")]


def _but_slow(fast: Sequence[str]) -> list[Any]:
    """All kinds, those that are not in `fast` among the slow tests."""
    slow = pytest.mark.slow
    return [kind if kind in fast else pytest.param(kind, marks=slow) for kind in STAGES]


@pytest.mark.parametrize("kind", _but_slow(STOPPED))
def test_a_resumed_run_differs_from_an_unbroken_one(
    bases: dict[str, Path], data: dict[str, Path], tmp_path: Path, unbroken: dict[str, Path],
    kind: str,
) -> None:  # fmt: skip
    for step in (13, 24):  # each attempt gets further, and all must add up
        with pytest.raises(_StopError):
            _run(kind, bases, data, tmp_path, progress=_stop_after(step))
    first: list[int] = []
    _run(kind, bases, data, tmp_path, progress=lambda done, *_: first.append(done))
    assert first[0] == 21  # not from the beginning
    assert _contents(tmp_path) == _contents(unbroken[kind])


def test_a_torn_checkpoint_is_resumed_or_fatal(
    bases: dict[str, Path], data: dict[str, Path], tmp_path: Path, unbroken: dict[str, Path]
) -> None:
    with pytest.raises(_StopError):
        _run("sft", bases, data, tmp_path, progress=_stop_after(25))
    newest = tmp_path / "checkpoints" / "checkpoint-20"
    with (newest / "optimizer.pt").open("r+b") as file:
        file.truncate(100)
    (tmp_path / "checkpoints" / "checkpoint-30").mkdir()
    first: list[int] = []
    _run("sft", bases, data, tmp_path, progress=lambda done, *_: first.append(done))
    assert first[0] == 11
    assert _contents(tmp_path) == _contents(unbroken["sft"])


def test_only_torn_checkpoints_are_left(
    bases: dict[str, Path], data: dict[str, Path], tmp_path: Path, unbroken: dict[str, Path]
) -> None:
    with pytest.raises(_StopError):
        _run("sft", bases, data, tmp_path, progress=_stop_after(15))
    (tmp_path / "checkpoints" / "checkpoint-10" / COMPLETE).unlink()
    _run("sft", bases, data, tmp_path)
    assert _contents(tmp_path) == _contents(unbroken["sft"])


def test_a_resumed_policy_is_its_own_reference(
    bases: dict[str, Path], data: dict[str, Path], tmp_path: Path, unbroken: dict[str, Path]
) -> None:
    """A reference is known before the first update; afterwards its weights are gone."""
    kept = tmp_path / "checkpoints" / KEPT
    # Torn before any checkpoint: it can still be said again.
    kept.parent.mkdir()
    kept.write_bytes(b"torn")
    with pytest.raises(_StopError):
        _run("dpo", bases, data, tmp_path, progress=_stop_after(15))
    whole = kept.read_bytes()
    for left in (None, whole[:100]):
        kept.unlink(missing_ok=True)
        if left is not None:
            kept.write_bytes(left)
        with pytest.raises(StoreError, match=r"delete .*checkpoints to start this stage anew"):
            _run("dpo", bases, data, tmp_path)
    kept.write_bytes(whole)
    _run("dpo", bases, data, tmp_path)
    assert _contents(tmp_path) == _contents(unbroken["dpo"])


def test_the_merger_of_another_adapter_is_trained(
    bases: dict[str, Path], data: dict[str, Path], tmp_path: Path
) -> None:
    given = {"demonstrations": data["demonstrations"]}
    adapted = SFTStage(
        updates=10,
        batch_size=4,
        learning_rate=1e-2,
        max_length=64,
        lora=LoraConfig(r=2, merge=False),
    )
    for seed in (0, 1):
        run_stage(adapted, bases["llama"], given, tmp_path / f"adapter{seed}", seed)
    config = SFTStage(updates=10, batch_size=4, max_length=64, adapter="fresh")
    with pytest.raises(_StopError):
        run_stage(config, tmp_path / "adapter0/model", given, tmp_path / "used", 0, _stop_after(2))
    for out in ("used", "new"):
        run_stage(config, tmp_path / "adapter1/model", given, tmp_path / out, 0)
    assert _contents(tmp_path / "used") == _contents(tmp_path / "new")


def test_a_checkpoint_of_another_run_is_continued(
    bases: dict[str, Path], data: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(_StopError):
        _run("sft", bases, data, tmp_path, progress=_stop_after(15))
    for change in ({"learning_rate": 1e-4}, {"updates": 60}):
        with pytest.raises(StoreError, match="another configuration, data, model, seed"):
            _run("sft", bases, data, tmp_path, change=change)
    # How often checkpoints are written is no other run.
    _run("sft", bases, data, tmp_path, change={"checkpoint_every": 20})


def test_nan_hides_the_checkpoint_it_left(
    bases: dict[str, Path], data: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the checkpoint before the first bad update, and it is whole."""
    from whyfirst.train import watch

    real = watch.Watch.on_step_end

    def poison(self: Any, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        if state.global_step == 23:
            next(kwargs["model"].parameters()).data.fill_(float("nan"))
        return real(self, args, state, control, **kwargs)

    monkeypatch.setattr(watch.Watch, "on_step_end", poison)
    with pytest.raises(TrainingStopped, match=r"is nan at update 24;.*checkpoint-20\. Lower"):
        _run("sft", bases, data, tmp_path)
    assert (tmp_path / "checkpoints" / "checkpoint-20" / COMPLETE).is_file()


def test_no_folder_is_an_error(tmp_path: Path) -> None:
    assert newest_complete(tmp_path / "checkpoints", {}) is None


def _killed_at(
    kind: str, bases: dict[str, Path], data: dict[str, Path], out: Path, ready: Any
) -> bool:
    """Run the stage in a process of its own, SIGKILL it once `ready()`; was it killed?

    Forked, so that the libraries need not be imported again.
    """
    child = os.fork()
    if child == 0:
        try:
            _run(kind, bases, data, out)
        finally:
            os._exit(0)
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if ready():
            os.kill(child, signal.SIGKILL)
            return os.waitpid(child, 0)[1] == signal.SIGKILL
        time.sleep(0.001)
    return False


@pytest.mark.parametrize("kind", _but_slow(KILLED))
def test_sigkill_changes_the_bytes(
    bases: dict[str, Path], data: dict[str, Path], tmp_path: Path, unbroken: dict[str, Path],
    kind: str,
) -> None:  # fmt: skip
    """Killed twice as a checkpoint's first file appears: before, while or after it is completed."""
    for step in (10, 20):
        saving = tmp_path / "checkpoints" / f"checkpoint-{step}" / "config.json"
        adapter = saving.with_name("adapter_config.json")
        assert _killed_at(kind, bases, data, tmp_path, lambda: saving.exists() or adapter.exists())  # noqa: B023
    first: list[int] = []
    _run(kind, bases, data, tmp_path, progress=lambda done, *_: first.append(done))
    assert first[0] > 10  # not from the beginning
    assert _contents(tmp_path) == _contents(unbroken[kind])


def _after(out: Path, seconds: float) -> Any:
    """True `seconds` after this process's preflight is written, which is when training begins."""
    written, begun = out / "preflight.json", time.time()
    end: list[float] = []

    def ready() -> bool:
        if not end and written.exists() and written.stat().st_mtime >= begun:
            end.append(time.perf_counter() + seconds)
        return bool(end) and time.perf_counter() > end[0]

    return ready


@pytest.mark.slow
@pytest.mark.parametrize("kind", STAGES)
def test_sigkill_at_any_moment(
    bases: dict[str, Path], data: dict[str, Path], tmp_path: Path, unbroken: dict[str, Path],
    kind: str,
) -> None:  # fmt: skip
    """Runs killed again and again at moments spread over the run, then left to end; 20 kills."""
    draw, killed = random.Random(0), 0
    started = time.perf_counter()
    _run(kind, bases, data, tmp_path / "timed")
    length = time.perf_counter() - started
    for number in range(200):
        out = tmp_path / str(number)
        for _ in range(3):
            ready = _after(out, draw.random() * length)
            killed += _killed_at(kind, bases, data, out, ready)
        _run(kind, bases, data, out)
        assert _contents(out) == _contents(unbroken[kind])
        shutil.rmtree(out)
        if killed >= 20:
            return
    pytest.fail(f"only {killed} runs were killed")
