"""Everything an interrupted PPO stage needs to go on to the same bytes, as safetensors and JSON.

A checkpoint holds the trained weights (actor, critic and head), the optimizer's moments, the KL
coefficient, the log so far and the random state of torch, numpy and Python, for rewards that draw.
The order of data and minibatches and the draws of responses follow from the seed and the number of
the update, and need none. Leaves out: rewards with a state of their own, and weights that are not
trained.
"""

import random
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from whyfirst.config.files import read_json, write_json
from whyfirst.train import checkpoint
from whyfirst.train.ppo.algorithm import Learner

# Until the newest checkpoint is marked complete, the one before it is the last good one.
_KEPT = 2


def save(
    checkpoints: Path,
    update: int,
    learner: Learner,
    log: list[dict[str, Any]],
    manifest: Mapping[str, Any],
) -> None:
    """Write `checkpoint-UPDATE`, complete it, and remove all but the newest two."""
    folder = checkpoints / f"checkpoint-{update}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    weights = _trained(learner)
    values = {name: weight.data.contiguous() for name, weight in weights.items()}
    save_file(values, folder / "model.safetensors")
    # Under the weights' names: an optimizer counts its parameters in an order of its own.
    moments = {
        f"{name}/{key}": value
        for name, weight in weights.items()
        for key, value in learner.optimizer.state[weight].items()
    }
    save_file(moments, folder / "optimizer.safetensors")
    # As numbers and not pickled, which numpy's own file would be.
    kind, keys, *rest = np.random.get_state(legacy=True)
    state = {
        "log": log,
        "beta": learner.controller.beta,
        "python": random.getstate(),
        "numpy": [kind, np.asarray(keys).tolist(), *rest],
        "torch": torch.get_rng_state().tolist(),
    }
    write_json(folder / "state.json", state)
    checkpoint.mark_complete(folder, update, manifest)
    found = sorted(checkpoints.glob("checkpoint-*"), key=lambda path: int(path.name[11:]))
    for old in found[:-_KEPT]:
        shutil.rmtree(old)


def load(folder: Path, learner: Learner) -> list[dict[str, Any]]:
    """Bring a learner of the same stage to a checkpoint's state; returns the log so far."""
    weights = _trained(learner)
    with torch.no_grad():
        for name, stored in load_file(folder / "model.safetensors").items():
            weights[name].copy_(stored)
    for name, moment in load_file(folder / "optimizer.safetensors").items():
        weight, _, key = name.rpartition("/")
        # A fused optimizer keeps the step count beside the weight.
        learner.optimizer.state[weights[weight]][key] = moment.to(weights[weight].device)
    state = read_json(folder / "state.json")
    # An adaptive coefficient has moved since the stage began.
    learner.controller.beta = state["beta"]
    version, numbers, cached = state["python"]
    random.setstate((version, tuple(numbers), cached))
    np.random.set_state(tuple(state["numpy"]))
    torch.set_rng_state(torch.tensor(state["torch"], dtype=torch.uint8))
    log: list[dict[str, Any]] = state["log"]
    return log


def _trained(learner: Learner) -> dict[str, torch.nn.Parameter]:
    named = learner.module.named_parameters()
    return {name: weight for name, weight in named if weight.requires_grad}
