"""Any training stage: the union of the kinds' options, told apart by `kind`.

`StageConfig` is built from the files in `kinds/`: a kind is known once its file is there. Leaves
out everything about running: files, seeds, devices.
"""

import importlib
import pkgutil
from typing import TYPE_CHECKING, Annotated, Union

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

if TYPE_CHECKING:
    StageConfig = Stage
else:
    # The options of every kind in this project's own files; not by asking the room, which would
    # load plug-ins, and they may import this module.
    _FILES = [f"{kinds.__name__}.{module.name}" for module in pkgutil.iter_modules(kinds.__path__)]
    _CLASSES = [c for name in _FILES for c in vars(importlib.import_module(name)).values()]
    _STAGES = [c for c in _CLASSES if isinstance(c, type) and issubclass(c, Stage)]
    _OPTIONS = tuple(stage for stage in _STAGES if "kind" in stage.model_fields)
    StageConfig = Annotated[Union[_OPTIONS], Field(discriminator="kind")]  # noqa: UP007
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
