"""What one stage has to do, in one object: `run_stage` makes it, every kind's trainer takes it.

Leaves out: how any kind trains.
"""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from whyfirst.train.config_base import Stage

if TYPE_CHECKING:
    from whyfirst.models.continuation import Ending
    from whyfirst.train.config_rl import Online
    from whyfirst.train.encode import Encoded
    from whyfirst.train.guards import Gold, Guards
    from whyfirst.train.plan import Plan
    from whyfirst.train.prompts import Prompts
    from whyfirst.train.rewards.combine import RewardSum
    from whyfirst.train.watch import Watch
    from whyfirst.train.weights import Start

# A function and no object, so that a process can tell its parent through a pipe.
Progress = Callable[[int, int, str], None]
"""Called with (update, updates, message)."""


class Stopping:
    """Whether a stage was asked to end; a second request ends it at once."""

    def __init__(self) -> None:
        self.asked: int | None = None
        self._before: dict[int, object] = {}

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Note SIGINT and SIGTERM inside; only a process's main thread can."""
        # Python hands signals to it alone; a study in a thread is ended by its own means.
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._note)
        try:
            yield
        finally:
            self._restore()

    def end(self) -> NoReturn:
        """End as the signal would have, now that a checkpoint is there.

        Raises:
            KeyboardInterrupt: after SIGINT.
            SystemExit: after SIGTERM, with the exit code of a process it ended.
        """
        if self.asked == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + int(self.asked or signal.SIGTERM))

    def _note(self, number: int, frame: FrameType | None) -> None:
        # Restored at once: the second signal does what it would have done without us.
        self.asked = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._before = {}


@dataclass(frozen=True)
class Job:
    """One stage to run.

    Args:
        model_dir: the model it starts from (a model or adapter folder), and its reference.
        out_dir: where `model/`, `kept/step-N/` and `checkpoints/` go.
        manifest: identity of the run; a checkpoint of another one is refused.
        tokenizer: `model_dir`'s, with a padding token.
        stopping: whether it was asked to end before it is done.
    """

    config: Stage
    model_dir: Path
    data: Mapping[str, Path]
    out_dir: Path
    seed: int
    progress: Progress
    manifest: Mapping[str, Any]
    tokenizer: Any
    stopping: Stopping = field(default_factory=Stopping)


@dataclass(frozen=True)
class Run:
    """A stage on given tokens, ready to train: what its kind makes a trainer of.

    Args:
        kept: indices of the rows that nothing is trained on.
    """

    job: Job
    start: "Start"
    encoded: "Encoded"
    plan: "Plan"
    kept: list[int]
    watch: "Watch"


@dataclass(frozen=True)
class OnlineJob:
    """A stage that generates: the job, its prompts in order, rewards and guards.

    Args:
        plan: `plan.updates[u]` lists, as 1-tuples of indices into `prompts`, the prompts of the
            u-th generation (rloo and grpo write `group_size` responses to each; ppo one).
        endings: what ends the response to each of `prompts`.
        gold: None where the config has no gold reward.
    """

    job: Job
    config: "Online"
    prompts: "Prompts"
    plan: "Plan"
    endings: "list[Ending]"
    rewards: "RewardSum"
    gold: "Gold | None"
    guards: "Guards"


@dataclass(frozen=True)
class Trained:
    """What a trainer hands back once `out_dir/model` is saved.

    Args:
        log: one row an update at which something was logged: step, loss, lr, grad_norm, and what
            the kind measures. Rows of an online stage hold `prompt_tokens` and `response_tokens`
            (counts of this update's generation).
        layout: "packed" or "padded".
    """

    log: list[dict[str, Any]]
    layout: str
