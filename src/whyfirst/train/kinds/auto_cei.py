"""Stage kind `auto_cei`: expert iteration, and a climb over how early giving up pays.

Zhao et al. 2024, "Automatic Curriculum Expert Iteration for Reliable LLM Reasoning", arXiv
2410.07627. The model answers each prompt several times; right is worth 1, wrong -1, and giving up
as much as it comes late (the reward `auto_cei`); responses drawn by that are what it learns next.
Its patience rises as long as precision and answering, weighed on prompts kept out, come out better.
Leaves out: adapters that stay apart, several processes.
"""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import model_validator

from whyfirst.config.errors import DataError
from whyfirst.config.strict import affects_output
from whyfirst.data.rows import numbered, read_rows
from whyfirst.train import encode
from whyfirst.train.config_base import Stage
from whyfirst.train.job import Job, Trained
from whyfirst.train.kinds import KINDS, Cost, Rows, StageKind, pass_rows
from whyfirst.train.kinds.sft import SFTStage
from whyfirst.train.rewards import REWARDS


class AutoCEIStage(Stage):
    """Expert iteration with a curriculum over refusals (Zhao et al. 2024)."""

    kind: Literal["auto_cei"] = affects_output("auto_cei", description="which kind of stage")
    samples: int = affects_output(16, ge=1, description="responses a prompt, each round")
    temperature: float = affects_output(1.0, gt=0, description="of drawing them")
    max_new_tokens: int = affects_output(128, ge=1, description="of one response")
    iterations: int = affects_output(3, ge=1, description="rounds at one patience, at most")
    most: int = affects_output(8, ge=1, description="values of patience tried, at most")
    weight: float = affects_output(0.2, ge=0, le=1, description="of answering, against precision")
    held_out: float = affects_output(0.2, gt=0, lt=1, description="prompts the climb is judged on")

    @model_validator(mode="after")
    def _check_rounds(self) -> Self:
        if self.processes > 1 or (self.lora is not None and not self.lora.merge):
            raise ValueError("auto_cei: one process, and an adapter that is merged, or none")
        if self.adapter == "continue":
            # Each round trains a fresh adapter and leaves it merged.
            raise ValueError("adapter: the rounds of auto_cei start from whole weights; use fresh, "
                             "which merges it")  # fmt: skip
        if self.keep_at:
            raise ValueError("keep_at: the rounds of auto_cei keep no weights on the way")
        return self

    @property
    def round(self) -> SFTStage:
        """One round's training: the options that both kinds have."""
        shared = (Stage.model_fields.keys() & SFTStage.model_fields.keys()) - {"adapter"}
        return SFTStage(**{name: getattr(self, name) for name in shared})


def _check(config: Stage, name: str, rows: Rows, path: Path) -> None:
    encode.check_responses(rows, ("prompt",), path)
    for number, row in numbered(rows):
        if not isinstance(row.get("answer"), str | int | float) or row["answer"] == "":
            raise DataError(f"{path}: row {number}: 'answer' must be the right answer; "
                            f"found {row.get('answer')!r}")  # fmt: skip


def _train(job: Job) -> tuple[Trained, dict[str, Any]]:
    from whyfirst.train.climb import train_curriculum

    rows = read_rows(path := Path(job.data["prompts"]))
    _check(job.config, "prompts", rows, path)
    return train_curriculum(job, rows, path)


def _revised(config: Any) -> dict[str, str]:
    """Its reward, where that is no longer at its first version."""
    version = REWARDS.get("auto_cei").version
    return {} if version == "1" else {"reward": version}


def _cost(config: Any) -> Cost:
    rounds = config.most * config.iterations  # the most there can be
    written = config.samples * config.max_new_tokens * rounds
    return Cost(
        config.batch_size, pass_rows(config), 2.0 * config.samples * rounds, written=written
    )


@KINDS.enter("auto_cei", version="1", paper="Zhao et al. 2024, arXiv 2410.07627")
def auto_cei() -> StageKind:
    """Expert iteration, its patience with giving up climbed to the best balance."""
    reads = {"prompts": "rows"}
    return StageKind(
        AutoCEIStage, lambda config: reads, _check, _train, _cost, row_seconds=1e-2,
        revised=_revised,
    )  # fmt: skip
