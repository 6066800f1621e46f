"""What a training stage is: one frozen, validated config for each kind.

`StageConfig` is the union of the kinds, told apart by `kind`. Every field says whether it is part
of the fingerprint. Leaves out everything about running: files, seeds, devices.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from whyfirst.config import StrictModel, affects_output, runtime_only

VERSIONS = {"explain": "1", "sft": "1", "dpo": "1"}
"""Code version of each kind: raised when the same config and data would give other weights."""

LOG_EVERY = 10
"""Updates between rows of log.jsonl; checkpoints fall on its multiples (see `checkpoint_every`)."""


class _Stage(StrictModel):
    """Fields every kind shares; one base so that the kinds can't drift apart."""

    batch_size: int = affects_output(default=32, ge=1, description="rows of one update, global")
    micro_batch_size: int | None = affects_output(
        default=None, ge=1, description="rows of one forward pass on one device; null: all"
    )
    updates: int | None = affects_output(default=None, ge=1, description="weight updates")
    epochs: float | None = affects_output(
        default=None, gt=0, description="passes over the data, rounded up to whole updates"
    )
    learning_rate: float = affects_output(default=1e-4, gt=0)
    schedule: Literal["constant", "cosine", "linear"] = affects_output(default="constant")
    warmup_updates: int = affects_output(default=0, ge=0)
    weight_decay: float = affects_output(default=0.0, ge=0)
    max_grad_norm: float = affects_output(default=1.0, gt=0)
    max_length: int = affects_output(default=256, ge=8, description="tokens of one row")
    truncation: Literal["refuse", "allow"] = affects_output(default="refuse")
    dtype: Literal["float32", "bfloat16"] = affects_output(
        default="float32", description="of the computation; weights stay float32"
    )
    keep_at: tuple[int, ...] = affects_output(
        default=(), description="updates after which the weights are kept in kept/step-N"
    )
    min_updates: int = runtime_only(
        default=10, ge=1, description="fewer updates than this are refused as a silent no-op"
    )
    checkpoint_every: int = runtime_only(
        default=100, ge=1, description=f"updates, rounded up to a multiple of {LOG_EVERY}"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.updates is None) == (self.epochs is None):
            raise ValueError("give exactly one of updates and epochs")
        if self.updates is not None:
            beyond = [step for step in self.keep_at if not 1 <= step <= self.updates]
            if beyond:
                raise ValueError(f"keep_at {beyond} lies outside the {self.updates} updates")
        return self


class ExplainStage(_Stage):
    """Next-token training on whole documents, with a share of replay rows in each batch."""

    kind: Literal["explain"] = affects_output(default="explain")
    replay: float = affects_output(
        default=0.0, ge=0, lt=1, description="share of each batch's rows drawn from replay"
    )
    doc_tag: str | None = affects_output(
        default=None, description="text put before each document and not trained on"
    )
    packing: bool = affects_output(
        default=False, description="a row is max_length tokens of whole documents, not one document"
    )


class SFTStage(_Stage):
    """Training on demonstrations: the loss is on the completion and its end-of-text token."""

    kind: Literal["sft"] = affects_output(default="sft")


class DPOStage(_Stage):
    """Direct preference optimisation against the model the stage starts from."""

    kind: Literal["dpo"] = affects_output(default="dpo")
    learning_rate: float = affects_output(default=1e-6, gt=0)
    beta: float = affects_output(default=0.1, gt=0)
    loss_type: Literal["sigmoid", "sigmoid_norm", "hinge", "ipo"] = affects_output(
        default="sigmoid"
    )


StageConfig = Annotated[ExplainStage | SFTStage | DPOStage, Field(discriminator="kind")]
"""Any stage; use as a field's type."""


def data_names(config: ExplainStage | SFTStage | DPOStage) -> tuple[str, ...]:
    """Names of the JSONL files the stage reads, in `run_stage`'s `data`."""
    match config:
        case ExplainStage():
            return ("documents", "replay") if config.replay else ("documents",)
        case SFTStage():
            return ("demonstrations",)
        case DPOStage():
            return ("pairs",)
