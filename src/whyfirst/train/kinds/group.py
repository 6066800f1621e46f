"""Stage kinds `rloo` and `grpo`: several responses to one prompt are each other's baseline.

Run on TRL's trainers, which are given one reward function and prompts tokenised as everywhere else.
Leaves out: several processes, and generation on a server of its own.
"""

from typing import Any, Literal, Self

from pydantic import model_validator

from whyfirst.config.strict import affects_output
from whyfirst.train.config_rl import Online, check_prompts, cost, reads, rewards_of
from whyfirst.train.job import Job, Trained
from whyfirst.train.kinds import KINDS, StageKind


class Grouped(Online):
    """rloo and grpo: several responses to one prompt are each other's baseline."""

    group_size: int = affects_output(ge=2, description="responses to one prompt")
    beta: float = affects_output(gt=0, description="weight of the KL penalty to the start model")
    iterations: int = affects_output(1, ge=1, description="updates from one generation")
    clip: float = affects_output(0.2, gt=0, description="half-width of the ratio's clip")

    @model_validator(mode="after")
    def _check_groups(self) -> Self:
        if self.batch_size % self.group_size:
            raise ValueError(
                f"batch_size {self.batch_size} is no multiple of group_size {self.group_size}"
            )
        if self.processes > 1:
            raise ValueError("processes: rloo and grpo run in one process")
        return self


class RLOOStage(Grouped):
    """REINFORCE leave-one-out (Ahmadian et al. 2024, arXiv 2402.14740)."""

    kind: Literal["rloo"] = affects_output("rloo", description="which kind of stage")
    group_size: int = affects_output(4, ge=2, description="completions of one prompt")
    beta: float = affects_output(
        0.05, gt=0, description="weight of the reference: higher stays nearer to it"
    )


class GRPOStage(Grouped):
    """Group relative policy optimisation (Shao et al. 2024, arXiv 2402.03300)."""

    kind: Literal["grpo"] = affects_output("grpo", description="which kind of stage")
    group_size: int = affects_output(8, ge=2, description="completions of one prompt")
    beta: float = affects_output(
        0.04, gt=0, description="weight of the reference: higher stays nearer to it"
    )
    loss_type: Literal["grpo", "dr_grpo", "dapo", "bnpo"] = affects_output(
        "dapo", description="which form of the loss"
    )
    scale_rewards: Literal["group", "batch", "none"] = affects_output(
        "group", description="what advantages are divided by"
    )


def _kind(config: type[Grouped]) -> StageKind:
    # Imported when it runs: study files are read through this module.
    def train(job: Job) -> tuple[Trained, dict[str, Any]]:
        from whyfirst.train.groups import train_groups
        from whyfirst.train.online import train_online

        return train_online(job, train_groups)

    return StageKind(config, reads, check_prompts, train, cost, row_seconds=6e-3, uses=rewards_of)


@KINDS.enter("rloo", version="2", paper="Ahmadian et al. 2024, arXiv 2402.14740")
def rloo() -> StageKind:
    """REINFORCE leave-one-out."""
    return _kind(RLOOStage)


@KINDS.enter("grpo", version="2", paper="Shao et al. 2024, arXiv 2402.03300")
def grpo() -> StageKind:
    """Group relative policy optimisation."""
    return _kind(GRPOStage)
