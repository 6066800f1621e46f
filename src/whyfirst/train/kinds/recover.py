"""Stage kind `recover`: a surgery on the weights, by what another model of the study has.

The surgery is a method of `whyfirst.models.edits`; its reference is the study's base, an earlier
stage of the arm, or a folder. Nothing is trained: the stage is one step. A surgery that asks for
rows reads the stage's data. Leaves out: surgeries of more than two models.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, model_validator

from whyfirst.config.errors import DataError, TrainingStopped
from whyfirst.config.files import read_jsonl
from whyfirst.config.room import Use
from whyfirst.config.strict import affects_output
from whyfirst.data.asking import as_trained
from whyfirst.models.edits import SURGERIES
from whyfirst.train.config_base import Stage
from whyfirst.train.encode import check_responses
from whyfirst.train.job import Job, Trained
from whyfirst.train.kinds import KINDS, Cost, Rows, StageKind
from whyfirst.train.kinds.prefer import ReferenceUse

ROWS = "prompts"
"""Name of a surgery's rows in `run_stage`'s `data`."""
# What a surgery can be told; the fields of training have no meaning for it. The template is saved
# with the model, and rows are read by it.
_OWN = {"kind", "surgery", "reference", "adapter", "chat_template", "cpus", "memory_gb"}


class RecoverStage(Stage):
    """A surgery: weights to weights, by a reference model."""

    kind: Literal["recover"] = affects_output("recover", description="which kind of stage")
    surgery: Annotated[Use, AfterValidator(SURGERIES.checked)] = affects_output(
        description="which one, with its options; `whyfirst list surgeries`"
    )
    reference: ReferenceUse | None = affects_output(
        None, description="the model it goes by; null: the study's base"
    )
    updates: int | None = affects_output(1, ge=1, le=1, description="always 1: one step")
    min_updates: int = affects_output(1, ge=1, le=1, description="always 1")
    max_length: int = affects_output(1, ge=1, le=1, description="always 1: no rows trained")

    @model_validator(mode="after")
    def _check_idle(self) -> Self:
        # A study writes every option out; those at their defaults ask for nothing.
        defaults = {name: field.get_default() for name, field in type(self).model_fields.items()}
        given = {name for name in self.model_fields_set if getattr(self, name) != defaults[name]}
        if idle := sorted(given - _OWN):
            raise ValueError(f"{', '.join(idle)}: no effect, since a recover stage trains nothing")
        if self.adapter == "continue":
            raise ValueError("adapter: a surgery is on whole weights; use fresh, which merges it")
        return self


def _reads(config: RecoverStage) -> Mapping[str, str]:
    rows = {ROWS: "rows"} if "rows" in SURGERIES.get(config.surgery.name).context else {}
    if config.reference is None:
        return rows | {"reference": "model"}
    stage = config.reference.stage
    return rows if stage is None else rows | {f"reference:{stage}": "model"}


def _check(config: RecoverStage, name: str, rows: Rows, path: Path) -> None:
    for number, row in enumerate(rows, 1):
        if "prompt" not in row or not isinstance(row.get("harmful"), bool):
            raise DataError(f"{path}: row {number}: needs `prompt` and `harmful` (true or false)")
    check_responses(rows, ("prompt",), path)


def _operate(
    job: Job, surgery: Callable[[Any, Any], Any], reference: Path
) -> tuple[Trained, dict[str, Any]]:
    """Run a surgery and save `model/`.

    Returns:
        A log of one row, whose `moved` is the norm of the change over the norm of the weights.

    Raises:
        TrainingStopped: the two models are no two states of one, the surgery changed nothing, or
            it left weights that are not finite.
    """
    import torch

    from whyfirst.train.weights import load_model, load_whole, materialise, save_model

    folder = materialise(job)
    model, other = load_model(folder), load_whole(reference)
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


@KINDS.enter("recover", version="1")
def recover() -> StageKind:
    """A surgery on the weights, by what another model of the study has."""

    def train(job: Job) -> tuple[Trained, dict[str, Any]]:
        config = job.config
        assert isinstance(config, RecoverStage)
        named = config.reference and config.reference.path
        models = [name for name, what in _reads(config).items() if what == "model"]
        [folder] = [Path(named)] if named else [Path(job.data[name]) for name in models]
        context: dict[str, Any] = {"tokenizer": job.tokenizer}
        if ROWS in job.data:
            rows, path = read_jsonl(job.data[ROWS]), Path(job.data[ROWS])
            _check(config, ROWS, rows, path)
            # As every other stage reads a prompt: where there is a template, a text is a chat.
            context["rows"] = [
                row | {"prompt": asked if isinstance(asked, str) else list(map(asdict, asked))}
                for row in rows
                for asked in [as_trained(job.tokenizer, row["prompt"], None)]
            ]
        return _operate(job, SURGERIES.make(config.surgery, **context), folder)

    return StageKind(
        RecoverStage,
        _reads,
        _check,
        train,
        cost=lambda config: Cost(fresh=1.0, rows=1, trained=0.0, references=1),
        row_seconds=3e-2,
        uses=lambda config: {"surgery": (SURGERIES, config.surgery)},
    )
