"""Stages that generate while they train: rloo, grpo and ppo, with their rewards and guards.

Every one reads "prompts" (rows with "prompt" and whatever columns its rewards read) and optimises
a weighted sum of rewards against the model the stage starts from. Leaves out how a reward is
computed (`rewards`) and what is measured along the way (`guards`).
"""

from typing import Literal, Self

from pydantic import model_validator

from whyfirst.config.strict import StrictModel, affects_output, runtime_only
from whyfirst.train.config_base import Stage

REWARD_MODEL = "reward_model"
"""The reward that is a model, and the name of its folder in `run_stage`'s `data`."""


class RewardUse(StrictModel):
    """One reward by its name in the registry; `whyfirst list rewards` shows them."""

    name: str = affects_output()
    weight: float = affects_output(default=1.0, description="its factor in the sum")
    path: str | None = affects_output(
        default=None,
        description="reward_model: its folder; null: the study's `reward_from` stage",
    )
    options: dict[str, bool | int | float | str] = affects_output(
        default={}, description="the reward's own keyword arguments"
    )


class GoldUse(StrictModel):
    """A reward never trained on, measured on prompts never trained on, beside the trained one."""

    name: str = affects_output()
    path: str | None = affects_output(default=None, description="as for a reward")
    options: dict[str, bool | int | float | str] = affects_output(default={})
    every: int = affects_output(default=10, ge=1, description="updates between measurements")
    held_out: float = affects_output(
        default=0.1, gt=0, lt=1, description="share of the prompts kept out, by prompt hash"
    )
    prompts: int = affects_output(default=64, ge=1, description="most held-out prompts used")


class Limits(StrictModel):
    """When a stage stops itself; null switches a limit off."""

    max_kl: float | None = runtime_only(
        default=100.0, gt=0, description="nats a response, mean over a batch, to the reference"
    )
    max_length_ratio: float | None = runtime_only(
        default=5.0, gt=1, description="mean response length over the first batch's"
    )
    flat_updates: int | None = runtime_only(
        default=20, ge=1, description="updates in a row whose rewards are all equal"
    )


class Online(Stage):
    """What rloo, grpo and ppo share."""

    batch_size: int = affects_output(default=64, ge=1, description="responses of one update")
    learning_rate: float = affects_output(default=1e-6, gt=0)
    truncation: Literal["refuse"] = affects_output(
        default="refuse", description="prompts over the context are never cut"
    )
    rewards: tuple[RewardUse, ...] = affects_output(min_length=1)
    max_new_tokens: int = affects_output(default=64, ge=1, description="of one response")
    temperature: float = affects_output(default=1.0, gt=0)
    gold: GoldUse | None = affects_output(default=None)
    limits: Limits = runtime_only(default=Limits())

    @property
    def uses(self) -> "tuple[RewardUse | GoldUse, ...]":
        """Every reward it computes, the gold one last."""
        return self.rewards if self.gold is None else (*self.rewards, self.gold)

    @model_validator(mode="after")
    def _check_rewards(self) -> Self:
        if self.gold is not None:
            gold = (self.gold.name, self.gold.path, self.gold.options)
            if any((use.name, use.path, use.options) == gold for use in self.rewards):
                raise ValueError(f"gold {self.gold.name!r} is one of the rewards trained on")
        if self.max_new_tokens >= self.max_length:
            raise ValueError("max_length must exceed max_new_tokens: it counts the prompt too")
        return self


class Grouped(Online):
    """rloo and grpo: several responses to one prompt are each other's baseline."""

    group_size: int = affects_output(ge=2, description="responses to one prompt")
    beta: float = affects_output(gt=0, description="weight of the KL penalty to the start model")
    iterations: int = affects_output(default=1, ge=1, description="updates from one generation")
    clip: float = affects_output(default=0.2, gt=0, description="half-width of the ratio's clip")

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

    kind: Literal["rloo"] = affects_output(default="rloo")
    group_size: int = affects_output(default=4, ge=2)
    beta: float = affects_output(default=0.05, gt=0)


class GRPOStage(Grouped):
    """Group relative policy optimisation (Shao et al. 2024, arXiv 2402.03300)."""

    kind: Literal["grpo"] = affects_output(default="grpo")
    group_size: int = affects_output(default=8, ge=2)
    beta: float = affects_output(default=0.04, gt=0)
    loss_type: Literal["grpo", "dr_grpo", "dapo", "bnpo"] = affects_output(default="dapo")
    scale_rewards: Literal["group", "batch", "none"] = affects_output(default="group")


class PPOStage(Online):
    """Proximal policy optimisation (Schulman et al. 2017, arXiv 1707.06347); `train/ppo`.

    One update is one batch of episodes with its `ppo_epochs` passes of minibatches.
    """

    kind: Literal["ppo"] = affects_output(default="ppo")
    ppo_epochs: int = affects_output(default=4, ge=1, description="passes over one batch")
    minibatch_size: int = affects_output(default=16, ge=1, description="episodes of one step")
    critic: Literal["separate", "shared"] = affects_output(default="separate")
    critic_learning_rate: float | None = affects_output(
        default=None, gt=0, description="null: learning_rate"
    )
    gamma: float = affects_output(default=1.0, gt=0, le=1)
    lam: float = affects_output(default=0.95, ge=0, le=1)
    clip: float | None = affects_output(default=0.2, gt=0, description="null: no clipping")
    value_clip: float | None = affects_output(default=0.2, gt=0, description="null: no clipping")
    value_coefficient: float = affects_output(default=0.1, ge=0)
    whiten_rewards: bool = affects_output(default=False)
    whiten_advantages: bool = affects_output(default=True)
    kl_estimator: Literal["k1", "k2", "k3"] = affects_output(default="k1")
    kl_coefficient: float = affects_output(default=0.05, ge=0)
    kl_target: float | None = affects_output(
        default=None, gt=0, description="nats a response the coefficient adapts to; null: fixed"
    )
    kl_horizon: int = affects_output(default=10_000, ge=1, description="episodes, when adaptive")
    missing_eos_penalty: float | None = affects_output(
        default=None, ge=0, description="taken off the reward of a response without an end"
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
