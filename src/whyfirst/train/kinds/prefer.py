"""Stage kind `prefer`: any objective on what a policy and frozen references say of K responses.

What a row may be is said in `whyfirst.train.objectives`. The first reference is the model the stage
starts from. Dropout is off, but for an adapter's own, so that policy and reference
begin as one. Leaves out: responses written while training (`rloo`, `grpo`, `ppo`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, model_validator

from whyfirst.config.room import Use
from whyfirst.config.strict import StrictModel, affects_output
from whyfirst.train import encode
from whyfirst.train.config_base import Stage
from whyfirst.train.job import Job, Run, Trained
from whyfirst.train.kinds import KINDS, Cost, Rows, StageKind, pass_rows
from whyfirst.train.objectives import OBJECTIVES
from whyfirst.train.preferences import check_rows, columns_of, labels_within, read_candidates


class ReferenceUse(StrictModel):
    """A frozen model to compare with: a folder, or what a stage of the study made."""

    path: str | None = affects_output(None, description="its folder")
    stage: str | None = affects_output(None, description="an earlier stage of the arm")

    @model_validator(mode="after")
    def _check_source(self) -> Self:
        if (self.path is None) == (self.stage is None):
            raise ValueError("give exactly one of path and stage")
        return self


class PreferStage(Stage):
    """Training on preferences between given responses, with any objective."""

    kind: Literal["prefer"] = affects_output("prefer", description="which kind of stage")
    learning_rate: float = affects_output(1e-6, gt=0, description="at its highest")
    objective: Annotated[Use, AfterValidator(OBJECTIVES.checked)] = affects_output(
        description="the loss and its options; `whyfirst list objectives`"
    )
    references: tuple[ReferenceUse, ...] = affects_output(
        (), description="frozen models beside the one the stage starts from"
    )

    @model_validator(mode="after")
    def _check_references(self) -> Self:
        facts = OBJECTIVES.get(self.objective.name).facts
        wanted = facts.get("references", 1)
        if len(self.references) != max(0, wanted - 1):
            raise ValueError(
                f"references: {self.objective.name} compares with {wanted} frozen models"
                + (", the first the one the stage starts from" if wanted else "")
                + f"; found {len(self.references)} more"
            )
        batched = facts.get("batched")
        if self.processes > 1 and (batched is True or self.objective.options.get(str(batched))):
            # Each would take its mean over its own rows: the number of processes would count.
            raise ValueError(
                f"processes: a row's loss depends on its forward pass with {self.objective.name}; "
                "set processes: 1"
            )
        many = facts.get("many_heads")
        if many and (self.lora is not None or self.fsdp):
            raise ValueError(f"{self.objective.name} trains whole weights: no lora, no fsdp")
        return self


def prefer_kind(
    config: type[Stage], name: str, objective: Any, references: Any = lambda config: ()
) -> StageKind:
    """A kind that runs an objective.

    Args:
        name: of its rows in `run_stage`'s `data`.
        objective: from options to the `Use` of an objective.
        references: from options to further references.
    """

    def reads(options: Any) -> Mapping[str, str]:
        made = [f"reference:{use.stage}" for use in references(options) if use.path is None]
        return {name: "rows"} | dict.fromkeys(made, "model")

    def check(options: Any, _: str, rows: Rows, path: Path) -> None:
        check_rows(objective(options), rows, path)

    def encoded(options: Any, tokenizer: Any, files: encode.Files) -> encode.Encoded:
        [(rows, path)] = files.values()
        # What an objective reads beside the responses goes with them through sorting and padding.
        facts = OBJECTIVES.get(objective(options).name).facts
        candidates = read_candidates(
            options, tokenizer, rows, path, facts.get("columns", {}), facts.get("borrowed", False),
            labels_within(objective(options)) is not None,
        )  # fmt: skip
        return encode.Encoded(
            files, columns_of(rows, path), candidates=candidates,
            prompt_scored=facts.get("prompt_scored", False),
        )  # fmt: skip

    def train(job: Job) -> tuple[Trained, dict[str, Any]]:
        from whyfirst.train.offline import train_offline
        from whyfirst.train.prefer import check_references, objective_trainer

        folders = [
            Path(use.path) if use.path else Path(job.data[f"reference:{use.stage}"])
            for use in references(job.config)
        ]
        check_references(job, folders)

        def make(run: Run) -> tuple[Any, str]:
            return objective_trainer(run, objective(job.config), folders)

        return train_offline(job, make)

    def cost(options: Any) -> Cost:
        facts = OBJECTIVES.get(objective(options).name).facts
        frozen, responses = facts.get("references", 1), facts.get("responses", (2, 2))[0]
        responses += facts.get("borrowed", False)
        return Cost(
            options.batch_size, pass_rows(options), trained=float(responses),
            forward=float(responses * frozen), sequences=responses,
        )  # fmt: skip

    def revised(options: Any) -> Mapping[str, str]:
        # They computed in float32 before.
        half = options.dtype == "bfloat16" and references(options)
        use = objective(options)
        told = OBJECTIVES.get(use.name).facts.get("revised")
        marks: dict[str, str] = told(use.options) if told else {}
        return marks | ({"references": options.dtype} if half else {})

    return StageKind(
        config, reads, check, train, cost, row_seconds=3e-3, encode=encoded,
        uses=lambda options: {"objective": (OBJECTIVES, objective(options))}, dropout=False,
        revised=revised,
    )  # fmt: skip


@KINDS.enter("prefer", version="1")
def prefer() -> StageKind:
    """Training on preferences between given responses, with any objective."""
    return prefer_kind(
        PreferStage,
        "preferences",
        objective=lambda config: config.objective,
        references=lambda config: config.references,
    )
