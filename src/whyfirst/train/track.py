"""Sending a stage's numbers to trackio, wandb or mlflow (`report_to`), and nothing else.

What transformers keeps for its Trainer's `report_to` would also send every training argument and
the model's configuration (paths among them), checkpoints, and wandb what the console prints. Sent
are a run's name, the few settings of `SETTINGS`, and of each row of the log the numbers whose names
`SENT` matches. Where to send and with which key those packages read from their own environment
variables; neither passes through here. Leaves out: comet and other trackers.
"""

import importlib.util
import math
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from transformers import TrainerCallback

from whyfirst.config.errors import ConfigError
from whyfirst.train import processes
from whyfirst.train.job import Job

PROJECT = "whyfirst"
#: names of numbers that may leave the machine
SENT = re.compile(
    r"loss|policy_loss|value_loss|aux_loss|learning_rate|lr|grad_norm|epoch|step|entropy|kl"
    r"|kl_coefficient|explained_variance|clipped|reward_std|length|finished|repetition|gold|proxy"
    r"|num_tokens|prompt_tokens|response_tokens|(?:mean_|min_|max_)?reward|accuracy|margin"
    r"|mean_token_accuracy|(?:reward|rewards|logps|logits|completions|clip_ratio)/[\w./-]+"
)
#: fields of a stage's configuration that may leave the machine: numbers and names of methods
SETTINGS = (
    "kind", "batch_size", "updates", "epochs", "learning_rate", "schedule", "warmup_updates",
    "weight_decay", "max_grad_norm", "max_length", "dtype",
)  # fmt: skip


def numbers(row: Mapping[str, Any]) -> dict[str, float]:
    """Of a row of a log the finite numbers whose names may leave the machine."""
    return {
        name: float(value)
        for name, value in row.items()
        if SENT.fullmatch(name)
        and isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
    }


class Sink(NamedTuple):
    """One open run of a tracker.

    Attributes:
        log: given an update and its numbers.
        end: closes the run.
    """

    log: Callable[[int, Mapping[str, float]], Any]
    end: Callable[[], Any]


def _trackio(run: str, settings: Mapping[str, Any]) -> Sink:
    import trackio

    trackio.init(
        project=os.environ.get("TRACKIO_PROJECT", PROJECT), name=run, config=dict(settings),
        space_id=os.environ.get("TRACKIO_SPACE_ID"), private=True, resume="allow",
    )  # fmt: skip
    return Sink(lambda step, row: trackio.log(_by_step(step, row)), trackio.finish)


def _wandb(run: str, settings: Mapping[str, Any]) -> Sink:
    """A run without console output, code, git state, machine or command line."""
    import wandb

    if wandb.run is not None:  # of a stopped stage of this process
        wandb.finish()
    private = wandb.Settings(
        silent=True, console="off", disable_git=True, disable_code=True, save_code=False,
        x_disable_meta=True, x_disable_stats=True, x_disable_machine_info=True,
        x_save_requirements=False, host="",
    )  # fmt: skip
    project = os.environ.get("WANDB_PROJECT", PROJECT)
    wandb.init(project=project, name=run, config=dict(settings), settings=private)
    wandb.define_metric("train/global_step")
    wandb.define_metric("*", step_metric="train/global_step", step_sync=True)
    return Sink(lambda step, row: wandb.log(_by_step(step, row)), wandb.finish)


def _mlflow(run: str, settings: Mapping[str, Any]) -> Sink:
    """A run whose tags name this program in place of the user, the script and its folder."""
    import mlflow

    while mlflow.active_run() is not None:  # of a stopped stage of this process
        mlflow.end_run()
    mlflow.set_experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT))
    named = dict.fromkeys(("mlflow.user", "mlflow.source.name", "mlflow.source.type"), PROJECT)
    mlflow.start_run(run_name=run, tags=named)
    mlflow.log_params(dict(settings))
    # In its own time: a slow server must not hold the training up.
    return Sink(
        lambda step, row: mlflow.log_metrics(dict(row), step=step, synchronous=False),
        mlflow.end_run,
    )


def _by_step(step: int, row: Mapping[str, float]) -> dict[str, float]:
    """By the names that these trackers' pages of a Trainer's runs go by."""
    return {f"train/{name}": value for name, value in row.items()} | {"train/global_step": step}


_OPEN = {"trackio": _trackio, "wandb": _wandb, "mlflow": _mlflow}


class Tracker:
    """One stage's run at each of the trackers its configuration names; with none it does nothing.

    A tracker that fails once training has begun is given up, and said on standard error: hours of
    training must not be lost to a server.

    Raises:
        ConfigError: a package that isn't installed.
    """

    def __init__(self, job: Job) -> None:
        self._named = job.config.report_to if processes.is_main() else ()
        for name in self._named:
            if importlib.util.find_spec(name) is None:
                raise ConfigError(
                    f"{job.config.kind}: report_to: {name} isn't installed; pip install "
                    "'whyfirst[track]'"
                )
        self._run = f"{job.config.kind} {job.out_dir.name} seed {job.seed}"
        self._settings = {name: getattr(job.config, name, None) for name in SETTINGS}
        self._settings |= {"seed": job.seed}
        self._sinks: dict[str, Sink] = {}

    def begin(self) -> None:
        """Start the runs, after ending those that a stopped stage of this process left open.

        Raises:
            ConfigError: a tracker that can't be reached or refuses.
        """
        for name in self._named:
            try:
                self._sinks[name] = _OPEN[name](self._run, self._settings)
            except Exception as error:
                raise ConfigError(f"report_to: {name}: {type(error).__name__}: {error}") from error

    def log(self, step: int, row: Mapping[str, Any]) -> None:
        """Send a row's numbers, as of an update."""
        if sent := numbers(row):
            self._each(lambda sink: sink.log(step, sent))

    def end(self) -> None:
        """Close the runs."""
        self._each(lambda sink: sink.end())

    def _each(self, do: Callable[[Sink], Any]) -> None:
        for name, sink in list(self._sinks.items()):
            try:
                do(sink)
            except Exception as error:
                # Once, and not at every row that follows.
                del self._sinks[name]
                print(f"report_to: {name} failed and gets no more: {error}", file=sys.stderr)


class Tracking(TrainerCallback):  # type: ignore[misc]
    """Gives a tracker each new row of a Trainer's log."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker, self._read = tracker, 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._read = len(state.log_history)  # a resumed run's earlier rows were sent
        self._tracker.begin()

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        rows: Sequence[Mapping[str, Any]] = state.log_history[self._read :]
        self._read = len(state.log_history)
        for row in rows:
            self._tracker.log(int(row["step"]), row)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._tracker.end()
