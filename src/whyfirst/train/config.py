"""Any training stage: the union of the kinds' options, told apart by `kind`.

`StageConfig` is built from the files in `kinds/`: a kind is known once its file is there. Leaves
out everything about running: files, seeds, devices.
"""

import importlib
import pkgutil
from typing import TYPE_CHECKING, Annotated, Union

from pydantic import Field

from whyfirst.train import kinds
from whyfirst.train.config_base import LoraConfig as LoraConfig
from whyfirst.train.config_base import Stage as Stage
from whyfirst.train.config_rl import GoldUse as GoldUse
from whyfirst.train.config_rl import Limits as Limits
from whyfirst.train.config_rl import RewardUse as RewardUse
from whyfirst.train.kinds import data_names as data_names
from whyfirst.train.kinds.auto_cei import AutoCEIStage as AutoCEIStage
from whyfirst.train.kinds.critique_reward import CritiqueRewardStage as CritiqueRewardStage
from whyfirst.train.kinds.dpo import DPOStage as DPOStage
from whyfirst.train.kinds.explain import ExplainStage as ExplainStage
from whyfirst.train.kinds.group import GRPOStage as GRPOStage
from whyfirst.train.kinds.group import RLOOStage as RLOOStage
from whyfirst.train.kinds.kto import KTOStage as KTOStage
from whyfirst.train.kinds.ppo import PPOStage as PPOStage
from whyfirst.train.kinds.prefer import PreferStage as PreferStage
from whyfirst.train.kinds.recover import RecoverStage as RecoverStage
from whyfirst.train.kinds.reward import RewardStage as RewardStage
from whyfirst.train.kinds.sft import SFTStage as SFTStage

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
