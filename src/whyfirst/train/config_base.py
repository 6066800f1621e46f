"""Fields that every kind of training stage shares, and the low-rank adapter's options.

Leaves out the kinds themselves (config, config_rl) and everything about running.
"""

from typing import TYPE_CHECKING, Literal, Self

from pydantic import model_validator

from whyfirst.config.strict import StrictModel, added_later, affects_output, runtime_only

PromptFormat = Literal["chat", "text"] | None
"""What a prompt given as text is where the tokenizer has a chat template; None is a chat."""
LOG_EVERY = 10
"""Updates between rows of log.jsonl; checkpoints fall on its multiples (see `checkpoint_every`)."""


class LoraConfig(StrictModel):
    """Low-rank adapters (Hu et al. 2021, arXiv 2106.09685): W + (alpha / r) B A, W frozen."""

    r: int = affects_output(16, ge=1, description="rank")
    alpha: float = affects_output(32.0, gt=0, description="scale of the adapter over its rank")
    dropout: float = affects_output(0.0, ge=0, lt=1, description="on the adapter's input")
    target_modules: Literal["all-linear"] | tuple[str, ...] = affects_output(
        "all-linear", description="every linear layer but the output layer, or names"
    )
    merge: bool = affects_output(
        True, description="save whole merged weights; false: a PEFT adapter folder"
    )
    base_dtype: Literal["float32", "bfloat16"] = affects_output(
        "float32", description="of the frozen weights; the adapter's stay float32"
    )


class Stage(StrictModel):
    """Fields every kind shares; one base so that the kinds can't drift apart."""

    if TYPE_CHECKING:
        kind: str  # a literal in every kind, by which a file's stages are told apart

    batch_size: int = affects_output(32, ge=1, description="rows of one update, global")
    micro_batch_size: int | None = affects_output(
        None, ge=1, description="rows of one forward pass on one device; null: all"
    )
    updates: int | None = affects_output(None, ge=1, description="weight updates")
    epochs: float | None = affects_output(
        None, gt=0, description="passes over the data, rounded up to whole updates"
    )
    learning_rate: float = affects_output(1e-4, gt=0, description="at its highest")
    schedule: Literal["constant", "cosine", "linear"] = affects_output(
        "constant", description="how the learning rate goes on after the warm-up"
    )
    warmup_updates: int = affects_output(
        0, ge=0, description="updates until the learning rate is reached"
    )
    weight_decay: float = affects_output(0.0, ge=0, description="of AdamW")
    max_grad_norm: float = affects_output(1.0, gt=0, description="gradients are clipped to it")
    max_length: int = affects_output(256, ge=8, description="tokens of one row")
    truncation: Literal["refuse", "allow"] = affects_output(
        "refuse", description="what becomes of rows longer than max_length"
    )
    dtype: Literal["float32", "bfloat16"] = affects_output(
        "float32", description="of the computation; weights stay float32"
    )
    lora: LoraConfig | None = added_later(None, description="train low-rank adapters only")
    adapter: Literal["fresh", "continue"] | None = added_later(
        None, description="where the input is an adapter folder: merge it, or train it on"
    )
    chat_template: str | None = added_later(
        None, description="a shipped template's name, a .jinja file or `tokenizer`; null: the "
        "tokenizer's own; saved with the model"
    )  # fmt: skip
    format: PromptFormat = added_later(
        None, description="of prompts given as text: a chat where there is a template (null too), "
        "or text as it stands"
    )  # fmt: skip
    keep_at: tuple[int, ...] = affects_output(
        (), description="updates after which the weights are kept in kept/step-N"
    )
    min_updates: int = runtime_only(
        10, ge=1, description="fewer updates than this are refused as a silent no-op"
    )
    checkpoint_every: int = runtime_only(
        100, ge=1, description=f"updates, rounded up to a multiple of {LOG_EVERY}"
    )
    report_to: tuple[Literal["trackio", "wandb", "mlflow"], ...] = runtime_only(
        (), description="trackers that get the log's numbers (track.py)"
    )
    gradient_checkpointing: bool = runtime_only(
        False, description="recompute activations in the backward pass: less memory"
    )
    processes: int = runtime_only(
        1, ge=1, description="processes that share every batch, each on a GPU of its own"
    )
    fsdp: bool = runtime_only(False, description="spread weights and optimizer over the processes")
    cpus: int | None = runtime_only(
        None, ge=1, description="cores asked of a Ray cluster; null: one a process"
    )
    memory_gb: float | None = runtime_only(
        None, gt=0, description="memory asked of a Ray cluster; null: none is asked for"
    )

    def kept_beyond(self, updates: int) -> str | None:
        """What is wrong with `keep_at` where so many updates are made; None where nothing is.

        Of epochs their number is known only once the data are read.
        """
        beyond = [step for step in self.keep_at if not 1 <= step <= updates]
        return f"keep_at {beyond} lies outside the {updates} updates" if beyond else None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.updates is None) == (self.epochs is None):
            raise ValueError("give exactly one of updates and epochs")
        if self.updates is not None and (beyond := self.kept_beyond(self.updates)):
            raise ValueError(beyond)
        if self.batch_size % self.processes:
            raise ValueError(
                f"batch_size {self.batch_size} is no multiple of processes {self.processes}"
            )
        if self.fsdp and (self.lora is not None or self.processes == 1):
            raise ValueError("fsdp spreads whole weights over several `processes`, without `lora`")
        if self.adapter == "continue" and self.lora is None:
            raise ValueError("adapter: continue trains an adapter on and needs `lora`")
        return self
