"""A surgery as a stage: two models in, one out, with how far the weights went.

Leaves out: the surgeries (`whyfirst.models.edits`).
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from whyfirst.config.errors import TrainingStopped
from whyfirst.train.adapters import base_folder
from whyfirst.train.job import Job, Trained
from whyfirst.train.weights import load_model, materialise, save_model


def operate(
    job: Job, surgery: Callable[[Any, Any], Any], reference: Path
) -> tuple[Trained, dict[str, Any]]:
    """Run a surgery and save `model/`.

    Returns:
        A log of one row, whose `moved` is the norm of the change over the norm of the weights.

    Raises:
        TrainingStopped: the two models are no two states of one, the surgery changed nothing, or
            it left weights that are not finite.
    """
    folder = materialise(job.config, job.model_dir, job.out_dir)
    model, other = load_model(folder), load_model(base_folder(reference))
    # Compared before anything is computed: a surgery between strangers is noise.
    shapes = [{name: tuple(w.shape) for name, w in m.state_dict().items()} for m in (model, other)]
    if shapes[0] != shapes[1]:
        raise TrainingStopped(
            f"{job.config.kind}: {folder} and the reference {reference} are models of two shapes; "
            "give a reference that the model was trained from"
        )
    before = {name: weight.detach().clone() for name, weight in model.state_dict().items()}
    changed = surgery(model, other)
    change, size = 0.0, 0.0
    for name, weight in changed.state_dict().items():
        if not bool(torch.isfinite(weight).all()):
            raise TrainingStopped(f"{job.config.kind}: the surgery left {name} not finite")
        # In float64: a small change of many weights would be lost in rounding.
        change += float((weight.double() - before[name].double()).square().sum())
        size += float(before[name].double().square().sum())
    if change == 0.0:
        raise TrainingStopped(
            f"{job.config.kind}: the surgery changed no weight: the model equals its reference "
            f"({reference}), or the surgery's options leave nothing to do"
        )
    save_model(changed, job.tokenizer, job.out_dir / "model", None)
    job.progress(1, 1, job.config.kind)
    totals = {"updates": 1, "documents": 0, "replay_documents": 0, "tokens_total": 0}
    totals |= {"tokens_trained": 0, "tokens_replay": 0}
    row = {"step": 1, "moved": math.sqrt(change / size), "tokens": 0}
    return Trained([row], "none"), {**totals, "epochs": 0.0}
