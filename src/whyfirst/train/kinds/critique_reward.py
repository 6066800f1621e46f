"""Stage kind `critique_reward`: a reward model that criticises a response before it scores it.

Its rows hold a pair with a critique of each response, or a tie; the reward of its name asks the
finished model. Pairs of some prompts are kept out, and it is measured on them with the critiques
given. Leaves out: writing critiques, adapters.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import model_validator

from whyfirst.config.errors import DataError
from whyfirst.config.room import Use
from whyfirst.config.strict import affects_output
from whyfirst.data.rows import numbered
from whyfirst.train import encode
from whyfirst.train.config_base import Stage
from whyfirst.train.job import Job, Trained
from whyfirst.train.kinds import KINDS, Rows, StageKind
from whyfirst.train.kinds.prefer import prefer_kind

COLUMNS = ("prompt", "chosen", "rejected", "chosen_critique", "rejected_critique")


class CritiqueRewardStage(Stage):
    """A reward model with two heads, for critiques and for a number (Zhang et al. 2025)."""

    kind: Literal["critique_reward"] = affects_output("critique_reward", description="which kind")
    learning_rate: float = affects_output(1e-5, gt=0, description="at its highest")
    weights: Mapping[Literal["preference", "tie", "center", "critique"], float] = affects_output(
        {}, description="of the parts of the loss, where they aren't the objective's own"
    )
    ask: str = affects_output(
        "What is good and what is bad in this response?",
        min_length=1, description="what a critique answers, after the response",
    )  # fmt: skip
    held_out: float = affects_output(0.1, gt=0, lt=1, description="share kept for reward.json")

    @model_validator(mode="after")
    def _check_whole(self) -> Self:
        if self.lora is not None or self.fsdp:
            raise ValueError("critique_reward trains whole weights: no lora, no fsdp")
        return self

    @property
    def objective(self) -> Use:
        """The objective it stands for."""
        return Use.model_validate({"name": "critique_reward"} | dict(self.weights))


def _check(config: Stage, name: str, rows: Rows, path: Path) -> None:
    encode.check_responses(rows, COLUMNS, path)
    for number, row in numbered(rows):
        for key in COLUMNS[3:]:
            if not isinstance(row[key], str) or not row[key].strip():
                raise DataError(f"{path}: row {number}: {key!r} must be a critique in words")
        if not isinstance(tie := row.get("tie", False), bool):
            raise DataError(f"{path}: row {number}: 'tie' must be true or false; found {tie!r}")


def _encoded(config: Stage, tokenizer: Any, files: encode.Files) -> encode.Encoded:
    from whyfirst.train.critic import read_critiques

    return read_critiques(config, tokenizer, files)


def _train(job: Job) -> tuple[Trained, dict[str, Any]]:
    from whyfirst.train.critic import train_critic

    return train_critic(job)


@KINDS.enter("critique_reward", version="2", paper="Zhang et al. 2025, arXiv 2502.10391")
def critique_reward() -> StageKind:
    """A reward model that criticises a response in words before it scores it."""
    made = prefer_kind(CritiqueRewardStage, "pairs", objective=lambda config: config.objective)
    return replace(made, check=_check, encode=_encoded, train=_train, makes="critic")
