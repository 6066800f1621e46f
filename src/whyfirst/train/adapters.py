"""What a stage may do with the adapter it starts from, and where that one's base lies.

Light: nothing here loads weights (`weights` does). Leaves out: what an adapter is, and merging it
(models/adapters.py).
"""

from pathlib import Path
from typing import Any

from whyfirst.config.errors import ConfigError
from whyfirst.models.adapters import is_adapter, read_adapter
from whyfirst.train.config_base import Stage
from whyfirst.train.kinds import kind_of


def base_folder(folder: Path) -> Path:
    """The folder with the whole weights under an adapter; `folder` itself where it has them."""
    if not is_adapter(folder):
        return folder
    from whyfirst.models.loading import base_of

    return base_of(folder)


def check_adapter(config: Stage, model_dir: Path) -> None:
    """Does the config say what becomes of the input's adapter, where it has one?

    Raises:
        ConfigError: it doesn't, or the adapter has another shape than `lora` says.
        UserError: the adapter is no plain LoRA.
    """
    if not is_adapter(model_dir):
        if config.adapter is not None:
            raise ConfigError(
                f"{config.kind}: adapter is {config.adapter!r}, but {model_dir} holds whole "
                "weights; remove `adapter`"
            )
        return
    found = read_adapter(model_dir)
    if config.adapter is None:
        raise ConfigError(
            f"{config.kind}: {model_dir} is an adapter; say `adapter: fresh` (merge it, then "
            "train) or `adapter: continue` (train it on)"
        )
    if config.adapter == "fresh":
        return
    if kind_of(config).makes == "reward_model":
        raise ConfigError(
            f"{config.kind}: can't continue the adapter of a language model; use fresh"
        )
    assert config.lora is not None  # the config's own check
    wanted: dict[str, Any] = {"r": config.lora.r, "lora_alpha": config.lora.alpha}
    # Which layers "all-linear" means is the model's to say, and PEFT has written their names down.
    if config.lora.target_modules != "all-linear":
        wanted["target_modules"] = sorted(config.lora.target_modules)
        found = found | {"target_modules": sorted(found["target_modules"])}
    for key, value in wanted.items():
        if found.get(key) != value:
            raise ConfigError(
                f"{config.kind}: the adapter to continue has {key} {found.get(key)}, and `lora` "
                f"says {value}; make them equal, or use adapter: fresh"
            )
