"""What a training stage is: one frozen, validated config for each kind.

`StageConfig` is the union of the kinds, told apart by `kind`. Every field says whether it is part
of the fingerprint. Leaves out everything about running: files, seeds, devices.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from whyfirst.config.strict import affects_output
from whyfirst.train.config_base import LOG_EVERY, LoraConfig, Stage, added_later
from whyfirst.train.config_rl import (
    REWARD_MODEL,
    GoldUse,
    GRPOStage,
    Limits,
    PPOStage,
    RewardUse,
    RLOOStage,
)

VERSIONS = {
    "explain": "1", "sft": "1", "dpo": "1", "kto": "1", "reward": "1",
    "rloo": "1", "grpo": "1", "ppo": "2",
}  # fmt: skip
"""Code version of each kind: raised when the same config and data would give other weights."""


class ExplainStage(Stage):
    """Next-token training on whole documents, with a share of replay rows in each batch."""

    kind: Literal["explain"] = affects_output(default="explain")
    replay: float = affects_output(
        default=0.0, ge=0, lt=1, description="share of each batch's rows drawn from replay"
    )
    doc_tag: str | None = affects_output(
        default=None, description="text put before each document and not trained on"
    )
    packing: bool = affects_output(
        default=False, description="a row is max_length tokens of whole documents, not one document"
    )


class SFTStage(Stage):
    """Training on demonstrations: the loss is on the completion and its end-of-text token."""

    kind: Literal["sft"] = affects_output(default="sft")


class DPOStage(Stage):
    """Direct preference optimisation against the model the stage starts from."""

    kind: Literal["dpo"] = affects_output(default="dpo")
    learning_rate: float = affects_output(default=1e-6, gt=0)
    beta: float = affects_output(default=0.1, gt=0)
    loss_type: Literal["sigmoid", "sigmoid_norm", "hinge", "ipo"] = affects_output(
        default="sigmoid"
    )


class KTOStage(Stage):
    """Kahneman-Tversky optimisation on unpaired responses (Ethayarajh et al. 2024)."""

    kind: Literal["kto"] = affects_output(default="kto")
    learning_rate: float = affects_output(default=1e-6, gt=0)
    beta: float = affects_output(default=0.1, gt=0)
    desirable_weight: float = affects_output(default=1.0, gt=0)
    undesirable_weight: float = affects_output(default=1.0, gt=0)
    processes: int = added_later(
        1, ge=1, description="its KL term is a mean over them: another number is another training"
    )


class RewardStage(Stage):
    """A Bradley-Terry reward model on preference pairs (Ouyang et al. 2022, arXiv 2203.02155)."""

    kind: Literal["reward"] = affects_output(default="reward")
    learning_rate: float = affects_output(default=1e-5, gt=0)
    center_rewards_coefficient: float = affects_output(
        default=0.01, ge=0, description="weight of (sum of both rewards) squared; 0: none"
    )
    held_out: float = affects_output(
        default=0.1, gt=0, lt=1, description="share of the pairs kept for reward.json, by prompt"
    )

    @model_validator(mode="after")
    def _check_whole(self) -> Self:
        if self.fsdp:
            raise ValueError("fsdp: reward.json is measured on a model that one process holds")
        return self


TokenStage = ExplainStage | SFTStage
"""Stages that minimise the cross-entropy of given tokens."""
PairStage = DPOStage | RewardStage
"""Stages on preference pairs."""
OfflineStage = TokenStage | PairStage | KTOStage
"""Stages whose every token is known before training."""
GroupStage = RLOOStage | GRPOStage
"""Stages that compare several responses to one prompt."""
OnlineStage = GroupStage | PPOStage
"""Stages that generate while they train."""
AnyStage = OfflineStage | OnlineStage

StageConfig = Annotated[
    ExplainStage | SFTStage | DPOStage | KTOStage | RewardStage | RLOOStage | GRPOStage | PPOStage,
    Field(discriminator="kind"),
]
"""Any stage; use as a field's type."""


def data_names(config: AnyStage) -> tuple[str, ...]:
    """Names of what the stage reads, in `run_stage`'s `data`: JSONL files, and for rloo, grpo and
    ppo also "reward_model", the folder of the reward model, where a reward has no path of its own.
    """
    match config:
        case ExplainStage():
            return ("documents", "replay") if config.replay else ("documents",)
        case SFTStage():
            return ("demonstrations",)
        case DPOStage() | RewardStage():
            return ("pairs",)
        case KTOStage():
            return ("responses",)
        case _:
            needed = any(use.name == REWARD_MODEL and use.path is None for use in config.uses)
            return ("prompts", REWARD_MODEL) if needed else ("prompts",)


__all__ = [
    "LOG_EVERY",
    "REWARD_MODEL",
    "VERSIONS",
    "AnyStage",
    "DPOStage",
    "ExplainStage",
    "GRPOStage",
    "GoldUse",
    "GroupStage",
    "KTOStage",
    "Limits",
    "LoraConfig",
    "OfflineStage",
    "OnlineStage",
    "PPOStage",
    "PairStage",
    "RLOOStage",
    "RewardStage",
    "RewardUse",
    "SFTStage",
    "StageConfig",
    "TokenStage",
    "data_names",
]
