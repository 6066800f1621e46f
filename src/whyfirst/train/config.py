"""Any training stage: the union of the kinds' options, told apart by `kind`.

`StageConfig` is built from the files in `kinds/`: a kind is known once its file is there. Leaves
out everything about running: files, seeds, devices.
"""

import importlib
import pkgutil
from typing import TYPE_CHECKING, Annotated, Any, Union

from pydantic import Field

from whyfirst.train import kinds
from whyfirst.train.config_base import LOG_EVERY, LoraConfig, Stage
from whyfirst.train.config_rl import REWARD_MODEL, GoldUse, Limits, RewardUse
from whyfirst.train.kinds import data_names
from whyfirst.train.kinds.dpo import DPOStage
from whyfirst.train.kinds.explain import ExplainStage
from whyfirst.train.kinds.group import GRPOStage, RLOOStage
from whyfirst.train.kinds.kto import KTOStage
from whyfirst.train.kinds.ppo import PPOStage
from whyfirst.train.kinds.prefer import PreferStage
from whyfirst.train.kinds.recover import RecoverStage
from whyfirst.train.kinds.reward import RewardStage
from whyfirst.train.kinds.sft import SFTStage


def _options() -> tuple[Any, ...]:
    """The options of every kind in this project's own files."""
    # Not by asking the room, which would load plug-ins, and they may import this module.
    names = [f"{kinds.__name__}.{module.name}" for module in pkgutil.iter_modules(kinds.__path__)]
    classes = [c for name in names for c in vars(importlib.import_module(name)).values()]
    stages = [c for c in classes if isinstance(c, type) and issubclass(c, Stage)]
    return tuple(dict.fromkeys(c for c in stages if "kind" in c.model_fields))


if TYPE_CHECKING:
    StageConfig = Stage
else:
    StageConfig = Annotated[Union[_options()], Field(discriminator="kind")]  # noqa: UP007
"""Any stage; use as a field's type."""

__all__ = [
    "LOG_EVERY",
    "REWARD_MODEL",
    "DPOStage",
    "ExplainStage",
    "GRPOStage",
    "GoldUse",
    "KTOStage",
    "Limits",
    "LoraConfig",
    "PPOStage",
    "PreferStage",
    "RLOOStage",
    "RecoverStage",
    "RewardStage",
    "RewardUse",
    "SFTStage",
    "Stage",
    "StageConfig",
    "data_names",
]
