"""Stage kind `ppo`: proximal policy optimisation, of our own (`train/ppo`).

Leaves out: full sharding (FSDP), generation on another server, rewards for single tokens.
"""

from dataclasses import replace
from typing import Any, Literal, Self

from pydantic import model_validator

from whyfirst.config.strict import affects_output
from whyfirst.train.config_rl import Online, check_prompts, cost, reads, rewards_of
from whyfirst.train.job import Job, Trained
from whyfirst.train.kinds import KINDS, Cost, StageKind


class PPOStage(Online):
    """Proximal policy optimisation (Schulman et al. 2017, arXiv 1707.06347); `train/ppo`.

    One update is one batch of episodes with its `ppo_epochs` passes of minibatches.
    """

    kind: Literal["ppo"] = affects_output("ppo", description="which kind of stage")
    ppo_epochs: int = affects_output(4, ge=1, description="passes over one batch")
    minibatch_size: int = affects_output(16, ge=1, description="episodes of one step")
    critic: Literal["separate", "shared"] = affects_output(
        "separate", description="what the value model starts from"
    )
    critic_learning_rate: float | None = affects_output(
        None, gt=0, description="null: learning_rate"
    )
    gamma: float = affects_output(1.0, gt=0, le=1, description="discount")
    lam: float = affects_output(0.95, ge=0, le=1, description="of generalised advantage estimation")
    clip: float | None = affects_output(0.2, gt=0, description="null: no clipping")
    value_clip: float | None = affects_output(0.2, gt=0, description="null: no clipping")
    value_coefficient: float = affects_output(0.1, ge=0, description="weight of the value loss")
    whiten_rewards: bool = affects_output(False, description="bring rewards to unit variance")
    whiten_advantages: bool = affects_output(
        True, description="bring advantages to mean 0 and unit variance"
    )
    kl_estimator: Literal["k1", "k2", "k3"] = affects_output(
        "k1", description="how the distance to the reference is estimated"
    )
    kl_coefficient: float = affects_output(
        0.05, ge=0, description="weight of the distance to the reference"
    )
    kl_target: float | None = affects_output(
        None, gt=0, description="nats a response the coefficient adapts to; null: fixed"
    )
    kl_horizon: int = affects_output(10_000, ge=1, description="episodes, when adaptive")
    missing_eos_penalty: float | None = affects_output(
        None, ge=0, description="taken off the reward of a response without an end"
    )

    @model_validator(mode="after")
    def _check_batches(self) -> Self:
        if self.batch_size % self.minibatch_size:
            raise ValueError(
                f"batch_size {self.batch_size} is no multiple of minibatch_size "
                f"{self.minibatch_size}"
            )
        if self.minibatch_size % self.processes:
            raise ValueError(
                f"minibatch_size {self.minibatch_size} is no multiple of processes {self.processes}"
            )
        if self.fsdp:
            raise ValueError("fsdp: ppo holds its models whole in each process")
        return self


@KINDS.enter("ppo", version="2", paper="Schulman et al. 2017, arXiv 1707.06347")
def ppo() -> StageKind:
    """Proximal policy optimisation on rewards of the responses it writes."""

    def costs(config: PPOStage) -> Cost:
        shared, passes = cost(config), float(config.ppo_epochs)
        # A shared critic is one layer on the actor's own hidden states.
        critic = passes if config.critic == "separate" else 0.0
        rows = min(shared.rows, config.minibatch_size)
        return replace(shared, rows=rows, trained=passes, critic=critic)

    def train(job: Job) -> tuple[Trained, dict[str, Any]]:
        from whyfirst.train.online import train_online
        from whyfirst.train.ppo.run import run_ppo

        return train_online(job, run_ppo)

    return StageKind(
        PPOStage, reads, check_prompts, train, costs, row_seconds=1.4e-2, uses=rewards_of
    )
