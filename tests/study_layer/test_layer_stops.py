"""Ctrl-C and SIGTERM: workers are asked to stop before they are killed, and a stage goes on."""

import signal
import time
from pathlib import Path

import layer_helpers as layer
import pytest
from test_layer_bad_input import file_study

from whyfirst.study.execute.executor import Event
from whyfirst.study.run import run_study

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


@pytest.mark.parametrize("number", CODES, ids=lambda number: number.name)
def test_stage_that_was_stopped_begins_anew(tmp_path: Path, number: signal.Signals) -> None:
    file = file_study(tmp_path, updates=400)
    store, out = tmp_path / "store", tmp_path / "out"
    process = layer.start(file, store, out, None)
    end = time.monotonic() + 120

    def logged() -> int:
        return sum(path.read_bytes().count(b"\n") for path in store.glob("stage/*/log.jsonl"))

    while logged() < 3 and process.poll() is None and time.monotonic() < end:
        time.sleep(0.01)
    process.send_signal(number)
    code, printed, errors = layer.finish(process)
    assert code == CODES[number], (printed, errors)
    # Not one of those that a long stage leaves from time to time: it had run for a moment.
    (checkpoint,) = store.glob("stage/*/checkpoints/*-*")
    done = int(checkpoint.name.rpartition("-")[2])
    assert done >= 3
    steps: list[int] = []

    def note(event: Event) -> None:
        if event.kind == "progress" and event.total == 400:
            steps.append(event.step)

    run_study(file, store=store, out=out, workers=1, on_event=note)
    assert steps[0] > done and steps[-1] == 400
