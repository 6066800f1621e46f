"""What happens between updates: keeping weights, marking checkpoints, logging, stopping on NaN.

The Trainer calls a `Watch`; every hook is one of its documented events. log.jsonl grows on disk
while a stage trains, so that its loss can be watched. Leaves out: how a kind trains (`kinds`), and
the finished log, which `run` writes anew and whole.
"""

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from whyfirst.config.errors import TrainingStopped
from whyfirst.train import checkpoint, processes
from whyfirst.train.job import Job
from whyfirst.train.weights import save_model

Check = Callable[[Sequence[Mapping[str, Any]]], None]
"""Looks at the trainer's log, the newest row last; raises to stop."""
Measure = Callable[[Any, int], Mapping[str, float]]
_MOST_LOST = 60.0  # seconds of training that a kill may cost, whatever `checkpoint_every` says


class Watch(TrainerCallback):  # type: ignore[misc]
    """Watches one run.

    Args:
        resumed_at: updates already done.
        check: called with the log whenever it grew, before a checkpoint is written.
        measure: given the model and the number of updates done, figures for the log.
        every: updates of which a checkpoint must be a multiple, or its log would be another.

    Attributes:
        step: updates done.
    """

    def __init__(
        self,
        job: Job,
        resumed_at: int,
        check: Check,
        measure: Measure | None = None,
        *,
        every: int,
    ) -> None:
        self._job, self._check, self._measure = job, check, measure
        self.step = resumed_at
        self._shown, self._saved = 0.0, time.monotonic()
        self._every = every

    def bad_loss(self, value: float) -> None:
        """Stop because the loss (or the gradient norm) is not finite."""
        config = self._job.config
        # The weights are lost and the checkpoint is not: say where it is.
        found = checkpoint.last_good(self._job.out_dir / "checkpoints", self._job.manifest)
        good = f"the last good checkpoint is {found}" if found else "no checkpoint was written"
        raise TrainingStopped(
            f"{config.kind}: the loss or its gradient is {value} at update {self.step + 1}; "
            f"{good}. Lower learning_rate ({config.learning_rate:g}), add warmup_updates, "
            "or look for broken rows in the data"
        )

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        self.step = state.global_step
        config = self._job.config
        if self.step in config.keep_at:
            folder = kept_folder(self._job.out_dir, self.step)
            save_model(kwargs["model"], self._job.tokenizer, folder, config.lora)
        figures = self._measure(kwargs["model"], self.step) if self._measure else {}
        if figures:
            # Kept with the trainer's own log, which every checkpoint holds.
            state.log_history.append({"step": self.step, **figures})
        if self.step >= state.max_steps:
            # Logged, and not saved as a checkpoint: the finished weights are saved by run.py.
            control.should_log, control.should_save = True, False
        elif self.step % self._every == 0 and processes.count() == 1:
            # Several processes would have to agree on the clock.
            late = time.monotonic() - self._saved > _MOST_LOST
            control.should_save |= late or self._job.stopping.asked is not None
        now = time.monotonic()
        if now - self._shown > 0.2 or self.step >= state.max_steps:
            self._shown = now
            self._job.progress(self.step, state.max_steps, config.kind)
        return control

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        # Logging comes before saving, so a checkpoint never holds what this refuses.
        row = state.log_history[-1]
        for key in ("loss", "grad_norm"):
            if key in row and not math.isfinite(float(row[key])):
                self.bad_loss(float(row[key]))
        self._check(state.log_history)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        # After the Trainer has written its files, of which the mark holds every hash.
        folder = self._job.out_dir / "checkpoints" / f"checkpoint-{state.global_step}"
        processes.wait()  # each writes a part of it
        if processes.is_main():
            checkpoint.mark_complete(folder, state.global_step, self._job.manifest)
        self._saved = time.monotonic()
        if self._job.stopping.asked is not None and processes.count() == 1:
            self._job.stopping.end()


def kept_folder(out_dir: Path, step: int) -> Path:
    """Where the weights after `step` updates are kept."""
    return out_dir / "kept" / f"step-{step}"


class GrowingLog:
    """The log of a stage that trains, a flushed row at a time.

    Args:
        folder: the stage's.
    """

    def __init__(self, folder: Path) -> None:
        self._path, self._rows = folder / "log.jsonl", 0

    def show(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Bring the file to these rows, which begin with those it was given before.

        The first call replaces what a killed attempt left, whose last rows may come again.
        """
        if not processes.is_main() or len(rows) == self._rows:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # Opened for each call: a stage may be killed at any time, and a reader looks on.
        with self._path.open("a" if self._rows else "w", encoding="utf-8") as file:
            for row in rows[self._rows :]:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
        self._rows = len(rows)


def counted(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of a stage that generates, with the tokens written so far in place of each update's."""
    made, tokens = [], 0
    for row in rows:
        tokens += row.get("response_tokens", 0)
        kept = {k: v for k, v in row.items() if k not in ("prompt_tokens", "response_tokens")}
        made.append(kept | {"tokens": tokens})
    return made
