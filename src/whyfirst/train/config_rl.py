"""Stages that generate while they train: rloo, grpo and ppo, with their rewards and guards.

Every one reads "prompts" (rows with "prompt" and whatever columns its rewards read) and optimises
a weighted sum of rewards against the model the stage starts from. Leaves out how a reward is
computed (`rewards`) and what is measured along the way (`guards`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import model_validator

from whyfirst.config.room import Room, Use
from whyfirst.config.strict import StrictModel, added_later, affects_output, runtime_only
from whyfirst.train.config_base import Stage
from whyfirst.train.encode import check_responses
from whyfirst.train.kinds import Cost, Rows, pass_rows
from whyfirst.train.rewards import REWARDS

Combine = Literal["sum", "geometric", "normalised"]
"""How a stage's rewards become one number; see `rewards.combine`."""
REWARD_MODEL = "reward_model"
"""The reward that is a model, and the name in `run_stage`'s `data` of any such reward's folder."""


class NamedReward(StrictModel):
    """A reward by its name in the room, its options beside the name or under `options`."""

    name: str = affects_output(description="which one; `whyfirst list rewards`")
    path: str | None = affects_output(
        None,
        description="folder of the model it asks; null: of a trained reward the study's "
        "`reward_from` stage, of others the model the stage starts from",
    )
    options: dict[str, Any] = affects_output({}, description="its own options")

    @model_validator(mode="before")
    @classmethod
    def _gather_options(cls, given: Any) -> Any:
        # A name alone is the commonest way to write a reward.
        if not isinstance(given, Mapping):
            return {"name": given} if isinstance(given, str) else given
        beside = {key: value for key, value in given.items() if key not in cls.model_fields}
        known = {key: value for key, value in given.items() if key not in beside}
        for key in beside.keys() & (given.get("options") or {}):
            raise ValueError(f"{key!r} is given beside `options` and in it; give it once")
        return known | {"options": {**(given.get("options") or {}), **beside}} if beside else known


class RewardUse(NamedReward):
    """One reward of a sum; `whyfirst list rewards` shows them."""

    weight: float = affects_output(1.0, description="its factor in the sum")


class GoldUse(NamedReward):
    """A reward never trained on, measured on prompts never trained on, beside the trained one."""

    every: int = affects_output(10, ge=1, description="updates between measurements")
    held_out: float = affects_output(
        0.1, gt=0, lt=1, description="share of the prompts kept out, by prompt hash"
    )
    prompts: int = affects_output(64, ge=1, description="most held-out prompts used")


# Given beside the name, such an option would be the section's.
REWARDS.reserve([*RewardUse.model_fields, *GoldUse.model_fields])


class Limits(StrictModel):
    """When a stage stops itself; null switches a limit off."""

    max_kl: float | None = runtime_only(
        100.0, gt=0, description="nats a response, mean over a batch, to the reference"
    )
    max_length_ratio: float | None = runtime_only(
        5.0, gt=1, description="mean response length over the first batch's"
    )
    flat_updates: int | None = runtime_only(
        20, ge=1, description="updates in a row whose rewards are all equal"
    )


class Online(Stage):
    """What rloo, grpo and ppo share."""

    batch_size: int = affects_output(64, ge=1, description="responses of one update")
    learning_rate: float = affects_output(1e-6, gt=0, description="at its highest")
    truncation: Literal["refuse"] = affects_output(
        "refuse", description="prompts over the context are never cut"
    )
    rewards: tuple[RewardUse, ...] = affects_output(
        min_length=1, description="what scores a completion, with weights; `whyfirst list rewards`"
    )
    combine: Combine = added_later(
        "sum", description="of the rewards: their sum, geometric mean, or sum of standardised ones"
    )
    zscore_by: str | None = added_later(
        None, description="column within whose values the combination is standardised"
    )
    max_new_tokens: int = affects_output(64, ge=1, description="of one response")
    temperature: float = affects_output(1.0, gt=0, description="of sampling completions")
    gold: GoldUse | None = affects_output(
        None, description="a reward that is only watched, to see the others gamed"
    )
    limits: Limits = runtime_only(Limits(), description="when to stop a run that goes wrong")

    @property
    def uses(self) -> "tuple[RewardUse | GoldUse, ...]":
        """Every reward it computes, the gold one last."""
        return self.rewards if self.gold is None else (*self.rewards, self.gold)

    @model_validator(mode="after")
    def _check_rewards(self) -> Self:
        if self.gold is not None:
            # Trained on, it would say nothing about the others being gamed.
            gold = (self.gold.name, self.gold.path, self.gold.options)
            if any((use.name, use.path, use.options) == gold for use in self.rewards):
                raise ValueError(f"gold {self.gold.name!r} is one of the rewards trained on")
        if self.lora is not None and self.lora.dropout:
            raise ValueError("lora: dropout has no effect where a model is compared with itself")
        for use in self.uses:
            if use.path and use.name in REWARDS.names() and not REWARDS.get(use.name).context:
                raise ValueError(f"path: the reward {use.name!r} asks no model; remove it")
        if self.combine == "geometric" and any(use.weight <= 0 for use in self.rewards):
            raise ValueError("combine: a geometric mean needs weights above 0")
        # A mean over one process's share is another mean, and so another reward.
        if (self.combine == "normalised" or self.zscore_by) and self.processes > 1:
            raise ValueError("rewards are standardised over one process' batch; set processes: 1")
        for use in self.uses if self.processes > 1 else ():
            if use.name in REWARDS.names() and REWARDS.get(use.name).facts.get("batched"):
                raise ValueError(
                    f"processes: {use.name} reads the other responses of a batch, of which each "
                    "process has its share; set processes: 1"
                )
        if self.max_new_tokens >= self.max_length:
            raise ValueError("max_length must exceed max_new_tokens: it counts the prompt too")
        return self


def named(use: NamedReward) -> Use:
    """A reward's name and options as the room takes them."""
    return Use.model_validate({**use.options, "name": use.name})


def asks_folder(use: NamedReward) -> bool:
    """Whether a reward is a trained model that a stage or its `path` has to give."""
    return use.name in REWARDS.names() and "folder" in REWARDS.get(use.name).context


def reads(config: Online) -> Mapping[str, str]:
    """The prompts, and a reward model where a reward has no path of its own."""
    needed = any(asks_folder(use) and use.path is None for use in config.uses)
    return {"prompts": "rows"} | ({REWARD_MODEL: "model"} if needed else {})


def rewards_of(config: Online) -> Mapping[str, tuple[Room[Any], Use]]:
    """The rewards, the gold one last."""
    return {f"reward {at}": (REWARDS, named(use)) for at, use in enumerate(config.uses)}


def check_prompts(config: Online, name: str, rows: Rows, path: Path) -> None:
    """Refuse rows without a prompt."""
    check_responses(rows, ("prompt",), path)


def cost(config: Online) -> Cost:
    """A prompt's share of a batch: writing, the reference and reward models, then training."""
    group, uses = getattr(config, "group_size", 1), getattr(config, "iterations", 1)
    models = sum(map(asks_folder, config.rewards))
    return Cost(
        config.batch_size / group, pass_rows(config), forward=(2.0 + models) / uses,
        references=1, written=config.max_new_tokens, reward_models=models, uses=uses,
    )  # fmt: skip
