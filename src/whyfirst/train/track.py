"""Sending a stage's numbers to trackio, wandb or mlflow (`report_to`), and nothing else.

What sends are the callbacks that transformers keeps for its Trainer's `report_to`. On their own
they would also send every training argument and the model's configuration (paths among them),
checkpoints, and wandb what the console prints; here they are given stand-ins: a run's name, the few
settings of `SETTINGS`, and of each row of the log the numbers whose names `SENT` matches. Where to
send and with which key those packages read from their own environment variables; neither passes
through here. Leaves out: comet and other trackers.
"""

import importlib.util
import math
import os
import re
import sys
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState
from transformers.integrations import get_reporting_integration_callbacks

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


class Tracker:
    """One stage's run at each of the trackers its configuration names; with none it does nothing.

    A tracker that fails once training has begun is given up, and said on standard error: hours of
    training must not be lost to a server.

    Raises:
        ConfigError: a package that isn't installed.
    """

    def __init__(self, job: Job) -> None:
        named = job.config.report_to if processes.is_main() else ()
        for name in named:
            if importlib.util.find_spec(name) is None:
                raise ConfigError(
                    f"{job.config.kind}: report_to: {name} isn't installed; pip install "
                    "'whyfirst[track]'"
                )
        # The callbacks read their settings from a TrainingArguments: see `_args` below.
        kinds: Any = get_reporting_integration_callbacks(named)  # a class each
        self._sinks: dict[str, Any] = {
            name: kind() for name, kind in zip(named, kinds, strict=True)
        }
        settings = {name: getattr(job.config, name, None) for name in SETTINGS}
        settings |= {"seed": job.seed}
        # All that the callbacks read of a TrainingArguments.
        self._args = SimpleNamespace(
            run_name=f"{job.config.kind} {job.out_dir.name} seed {job.seed}",
            output_dir="", load_best_model_at_end=False, to_dict=lambda: settings,
            project=os.environ.get("TRACKIO_PROJECT", PROJECT), hub_private_repo=True,
            trackio_space_id=os.environ.get("TRACKIO_SPACE_ID"), trackio_bucket_id=None,
            trackio_static_space_id=False,
        )  # fmt: skip

    def begin(self) -> None:
        """Start the runs, after ending those that a stopped stage of this process left open.

        Raises:
            ConfigError: a tracker that can't be reached or refuses.
        """
        for name, sink in self._sinks.items():
            try:
                if name in _OPEN:
                    _OPEN[name](str(self._args.run_name))
                sink.on_train_begin(self._args, TrainerState(), TrainerControl(), model=None)
            except Exception as error:
                raise ConfigError(f"report_to: {name}: {type(error).__name__}: {error}") from error

    def log(self, step: int, row: Mapping[str, Any]) -> None:
        """Send a row's numbers, as of an update."""
        sent = numbers(row)
        if sent:
            state = TrainerState(global_step=step)
            self._each("on_log", state, logs=sent)

    def end(self) -> None:
        """Close the runs."""
        self._each("on_train_end", TrainerState())

    def _each(self, event: str, state: TrainerState, **given: Any) -> None:
        for name, sink in list(self._sinks.items()):
            try:
                getattr(sink, event)(self._args, state, TrainerControl(), model=None, **given)
                if event == "on_train_end" and name in _CLOSE:
                    _CLOSE[name]()
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


def _open_wandb(run: str) -> None:
    """A run without console output, code, git state, machine or command line."""
    import wandb

    # These would make the callback upload weights and gradients.
    os.environ["WANDB_LOG_MODEL"] = os.environ["WANDB_WATCH"] = "false"
    _close_wandb()
    wandb.init(
        project=os.environ.get("WANDB_PROJECT", PROJECT),
        name=run,
        settings=wandb.Settings(
            silent=True, console="off", disable_git=True, disable_code=True, save_code=False,
            x_disable_meta=True, x_disable_stats=True, x_disable_machine_info=True,
            x_save_requirements=False, host="",
        ),
    )  # fmt: skip


def _close_wandb() -> None:
    import wandb

    if wandb.run is not None:
        wandb.finish()


def _open_mlflow(run: str) -> None:
    """A run whose tags name this program in place of the user, the script and its folder."""
    import mlflow

    os.environ["HF_MLFLOW_LOG_ARTIFACTS"] = "false"
    _close_mlflow()
    mlflow.set_experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT))
    named = dict.fromkeys(("mlflow.user", "mlflow.source.name", "mlflow.source.type"), PROJECT)
    mlflow.start_run(run_name=run, tags=named)


def _close_mlflow() -> None:
    import mlflow

    while mlflow.active_run() is not None:
        mlflow.end_run()


_OPEN = {"wandb": _open_wandb, "mlflow": _open_mlflow}
_CLOSE = {"wandb": _close_wandb, "mlflow": _close_mlflow}
