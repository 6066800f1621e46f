"""Stage kind `reward`: a reward model from preference pairs, on TRL's trainer.

    L = -log sigmoid(r(chosen) - r(rejected) - margin) + c (r(chosen) + r(rejected))^2

Pairs of some prompts are kept out, and the finished model is measured on them (`reward_report`).
Leaves out: models with more than one output.
"""

import math
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import model_validator

from whyfirst.config.errors import DataError
from whyfirst.config.strict import affects_output
from whyfirst.data.rows import numbered
from whyfirst.train import encode
from whyfirst.train.config_base import Stage
from whyfirst.train.job import Job, Run, Trained
from whyfirst.train.kinds import KINDS, Cost, Rows, StageKind, pass_rows
from whyfirst.train.preferences import check_shapes, read_candidates

_COLUMNS = ("prompt", "chosen", "rejected")


class RewardStage(Stage):
    """A Bradley-Terry reward model on preference pairs (Ouyang et al. 2022, arXiv 2203.02155)."""

    kind: Literal["reward"] = affects_output("reward", description="which kind of stage")
    learning_rate: float = affects_output(1e-5, gt=0, description="at its highest")
    center_rewards_coefficient: float = affects_output(
        0.01, ge=0, description="weight of (sum of both rewards) squared; 0: none"
    )
    held_out: float = affects_output(
        0.1, gt=0, lt=1, description="share of the pairs kept for reward.json, by prompt"
    )

    @model_validator(mode="after")
    def _check_whole(self) -> Self:
        if self.lora is not None and self.lora.dropout:
            raise ValueError("lora: dropout has no effect: a reward model trains without any")
        if self.lora is not None and not self.lora.merge:
            # What rewards with it loads a classifier's whole weights.
            raise ValueError("lora: a reward model is used whole; set merge: true")
        if self.fsdp:
            raise ValueError("fsdp: reward.json is measured on a model that one process holds")
        return self


def _margins(rows: Rows, path: Path) -> list[float] | None:
    """The column `margin`, which all rows have or none."""
    if not any("margin" in row for row in rows):
        return None
    for number, row in numbered(rows):
        value = row.get("margin")
        # True is 1 to Python, and a margin of "true" a mistake.
        if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
            raise DataError(
                f"{path}: row {number}: 'margin' must be a number, in every row or in none; found "
                f"{value!r}"
            )
    return [float(row["margin"]) for row in rows]


def _revised(config: RewardStage) -> dict[str, str]:
    """Where the output layer computed in half precision before."""
    half = "bfloat16" in (config.dtype, config.lora and config.lora.base_dtype)
    return {"output layer": "float32"} if half else {}


def _trainer(run: Run) -> tuple[Any, str]:
    """A RewardTrainer on the pairs of the plan."""
    from trl import RewardConfig, RewardTrainer

    from whyfirst.train import trainer, weights

    config = run.job.config
    assert isinstance(config, RewardStage)
    arguments = trainer.arguments(
        RewardConfig, run.job, len(run.plan.updates), *trainer.even(config),
        max_length=config.max_length,
        center_rewards_coefficient=config.center_rewards_coefficient or None,
    )  # fmt: skip
    weights.pad_apart(run.start.model, run.job.tokenizer)
    made = RewardTrainer(
        **trainer.common(run.job, run.start, arguments, run.watch),
        train_dataset=trainer.placeholder({"chosen_ids": [0], "rejected_ids": [0]}),
    )
    rows, path = run.encoded.main
    margins = _margins(rows, path)
    # As tokenised by `encode`: TRL would render and cut the pairs in its own way.
    made.train_dataset = [
        {
            f"{side}_ids": (pair.prompts[k] + pair.responses[k])[: config.max_length]
            for k, side in enumerate(("chosen", "rejected"))
        }
        | ({} if margins is None else {"margin": margins[i]})
        for i in run.plan.order
        for pair in [run.encoded.candidates[i]]
    ]
    return made, "padded"


@KINDS.enter("reward", version="1", paper="Ouyang et al. 2022, arXiv 2203.02155")
def reward() -> StageKind:
    """A Bradley-Terry reward model on preference pairs."""

    def check(config: RewardStage, name: str, rows: Rows, path: Path) -> None:
        encode.check_responses(rows, _COLUMNS, path)
        check_shapes(rows, path)
        _margins(rows, path)

    def encoded(config: RewardStage, tokenizer: Any, files: encode.Files) -> encode.Encoded:
        [(rows, path)] = files.values()
        candidates = read_candidates(config, tokenizer, rows, path)
        return encode.Encoded(files, _COLUMNS, candidates=candidates)

    def train(job: Job) -> tuple[Trained, dict[str, Any]]:
        from whyfirst.train.offline import train_offline
        from whyfirst.train.reward_report import kept_out, write_report
        from whyfirst.train.rewards.model import score

        config = job.config
        assert isinstance(config, RewardStage)

        def report(run: Run, model: Any) -> None:
            pairs = [run.encoded.candidates[i] for i in run.kept]
            lengths = [(len(pair.responses[0]), len(pair.responses[1])) for pair in pairs]
            write_report(job, partial(score, model), pairs, lengths)

        kept = partial(kept_out, job, config.held_out)
        return train_offline(job, _trainer, kept=kept, finished=report)

    return StageKind(
        RewardStage,
        reads=lambda config: {"pairs": "rows"},
        check=check,
        train=train,
        cost=lambda config: Cost(config.batch_size, pass_rows(config), trained=2.0, sequences=2),
        row_seconds=3e-3,
        encode=encoded,
        makes="reward_model",
        dropout=False,
        revised=_revised,
    )
