"""Stage kind `recover`: a surgery on the weights, by what another model of the study has.

The surgery is a method of `whyfirst.models.edits`; its reference is the study's base, an earlier
stage of the arm, or a folder. Nothing is trained: the stage is one step. A surgery that asks for
rows reads the stage's data. Leaves out: surgeries of more than two models.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, model_validator

from whyfirst.config.errors import DataError
from whyfirst.config.files import read_jsonl
from whyfirst.config.room import Use
from whyfirst.config.strict import affects_output
from whyfirst.models.edits import SURGERIES
from whyfirst.train.config_base import Stage
from whyfirst.train.job import Job, Trained
from whyfirst.train.kinds import KINDS, Cost, Rows, StageKind
from whyfirst.train.kinds.prefer import ReferenceUse

ROWS = "prompts"
"""Name of a surgery's rows in `run_stage`'s `data`."""
# What a surgery can be told; the fields of training have no meaning for it.
_OWN = {"kind", "surgery", "reference", "adapter", "cpus", "memory_gb"}


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


@KINDS.enter("recover", version="1")
def recover() -> StageKind:
    """A surgery on the weights, by what another model of the study has."""

    def train(job: Job) -> tuple[Trained, dict[str, Any]]:
        from whyfirst.train.surgery import operate

        config = job.config
        assert isinstance(config, RecoverStage)
        named = config.reference and config.reference.path
        models = [name for name, what in _reads(config).items() if what == "model"]
        [folder] = [Path(named)] if named else [Path(job.data[name]) for name in models]
        context: dict[str, Any] = {"tokenizer": job.tokenizer}
        if ROWS in job.data:
            context["rows"] = read_jsonl(job.data[ROWS])
            _check(config, ROWS, context["rows"], job.data[ROWS])
        return operate(job, SURGERIES.make(config.surgery, **context), folder)

    return StageKind(
        RecoverStage,
        _reads,
        _check,
        train,
        cost=lambda config: Cost(fresh=1.0, rows=1, trained=0.0, references=1),
        seconds=5.0,
        uses=lambda config: {"surgery": (SURGERIES, config.surgery)},
    )
