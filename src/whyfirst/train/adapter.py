"""The one module that knows the arguments of transformers' Trainer and TRL's DPOTrainer.

`explain` and `sft` run on `transformers.Trainer` with the project's collator and loss, `dpo` on
`trl.DPOTrainer`. The Trainer's own resume accepts other data, other rates and torn checkpoints,
and trains a finished run once more; run.py decides what it may resume from. Leaves out: adapters
(LoRA), quantisation, sequence parallelism.
"""

import functools
import gc
import math
import os
import shutil
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from huggingface_hub import constants as hub
from transformers import AutoModelForCausalLM, Trainer, TrainerCallback, TrainingArguments

from whyfirst.errors import ConfigError, TrainingStopped
from whyfirst.train import checkpoint
from whyfirst.train.collate import PairData, SlotData, slot_collator
from whyfirst.train.config import LOG_EVERY, DPOStage, ExplainStage, SFTStage
from whyfirst.train.encode import Encoded
from whyfirst.train.loss import mean_token_loss, packing_is_exact, select_positions
from whyfirst.train.plan import Plan

Progress = Callable[[int, int, str], None]

_FIRST_DPO_LOSS: dict[str, Callable[[float], float]] = {
    "sigmoid": lambda beta: math.log(2),
    "sigmoid_norm": lambda beta: math.log(2),
    "hinge": lambda beta: 1.0,
    "ipo": lambda beta: 1 / (4 * beta**2),
}
"""Loss of a policy that equals its reference, by loss type and beta."""


@functools.cache
def quiet_libraries() -> None:
    """Switch off the libraries' telemetry, progress bars and chatter, once for this process."""
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    # Read once when the hub library is imported, which may have been before this.
    hub.HF_HUB_DISABLE_TELEMETRY = True
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    # TRL 1.16 still uses names that transformers 5.23 has renamed.
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    # The trainer collects garbage at the start of every run: 0.3 s over the imported modules,
    # which are never garbage.
    gc.collect()
    gc.freeze()


def load_model(path: Path) -> Any:
    """A causal language model in float32 from a local folder; no code from the folder is run."""
    return AutoModelForCausalLM.from_pretrained(
        path, dtype=torch.float32, local_files_only=True, trust_remote_code=False
    )


def save_model(model: Any, tokenizer: Any, folder: Path) -> None:
    """Save in the Hub's layout, whole or not at all: written beside and renamed."""
    temporary = folder.with_name(f".{folder.name}.tmp")
    for stale in (temporary, folder):
        if stale.exists():
            shutil.rmtree(stale)
    # TRL switches the key-value cache off for good; an evaluation of the saved model wants it.
    cached = getattr(model.config, "use_cache", None)
    model.config.use_cache = True
    model.save_pretrained(temporary)
    model.config.use_cache = cached
    tokenizer.save_pretrained(temporary)
    # TRL writes its name and a model card; neither says anything the stage's own record doesn't.
    (temporary / "README.md").unlink(missing_ok=True)
    temporary.rename(folder)


def forward_passes(config: ExplainStage | SFTStage | DPOStage) -> int:
    """Forward passes that make up one update of the global batch.

    Raises:
        ConfigError: started as one of several processes, which would each write the same files
            and change the global batch.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError(
            "a stage runs in one process here; start it without a distributed launcher (WORLD_SIZE "
            f"is {os.environ['WORLD_SIZE']})"
        )
    return math.ceil(config.batch_size / (config.micro_batch_size or config.batch_size))


def train_tokens(
    config: ExplainStage | SFTStage,
    model: Any,
    pad_id: int,
    encoded: Encoded,
    plan: Plan,
    callbacks: Sequence[Any],
    watch: "Watch",
    out_dir: Path,
    seed: int,
) -> tuple[Any, str]:
    """A Trainer ready to train `explain` or `sft`, and the layout chosen ("packed", "padded")."""
    passes = forward_passes(config)
    packed = packing_is_exact(model, pad_id)
    trainer = Trainer(
        model=model,
        args=_arguments(TrainingArguments, config, out_dir, seed, len(plan.updates), passes, 1),
        train_dataset=SlotData(encoded.examples, plan.slots(passes), passes),
        data_collator=slot_collator(pad_id, packed=packed),
        compute_loss_func=mean_token_loss(select_positions(model), watch.bad_loss),
        callbacks=list(callbacks),
    )
    return _quiet(trainer), "packed" if packed else "padded"


def train_pairs(
    config: DPOStage,
    model: Any,
    tokenizer: Any,
    model_dir: Path,
    encoded: Encoded,
    plan: Plan,
    callbacks: Sequence[Any],
    out_dir: Path,
    seed: int,
) -> tuple[Any, str]:
    """A DPOTrainer whose reference is `model_dir`, loaded apart from the policy."""
    import datasets
    from trl import DPOConfig, DPOTrainer
    from trl.trainer.dpo_trainer import DataCollatorForPreference

    passes = forward_passes(config)
    if config.batch_size % passes:
        raise ConfigError(
            f"dpo: micro_batch_size {config.micro_batch_size} does not divide batch_size "
            f"{config.batch_size}; choose one that does"
        )
    micro = config.batch_size // passes
    datasets.disable_progress_bars()
    order = [index for update in plan.updates for (index,) in update]
    pairs = PairData(encoded.pairs, order)
    # The trainer insists on tokenising a data set of its own; it gets one harmless row, and the
    # real pairs, tokenised as in every other stage, take its place before training.
    placeholder = datasets.Dataset.from_list([{"prompt": "", "chosen": "", "rejected": ""}])
    arguments = _arguments(
        DPOConfig, config, out_dir, seed, len(plan.updates), passes, micro,
        beta=config.beta, loss_type=[config.loss_type], max_length=config.max_length,
        # TRL's default is to trade time for memory.
        gradient_checkpointing=False,
    )  # fmt: skip
    trainer = DPOTrainer(
        model=model,
        ref_model=load_model(model_dir),
        args=arguments,
        train_dataset=placeholder,
        data_collator=DataCollatorForPreference(
            pad_token_id=tokenizer.pad_token_id, max_length=config.max_length
        ),
        processing_class=tokenizer,
        callbacks=list(callbacks),
    )
    trainer.train_dataset = pairs
    return _quiet(trainer), "padded"


def _arguments(
    kind: Any,
    config: ExplainStage | SFTStage | DPOStage,
    out_dir: Path,
    seed: int,
    updates: int,
    passes: int,
    per_device: int,
    **more: Any,
) -> Any:
    schedule = config.schedule
    if schedule == "constant" and config.warmup_updates:
        schedule = "constant_with_warmup"  # type: ignore[assignment]
    every = LOG_EVERY * math.ceil(config.checkpoint_every / LOG_EVERY)
    arguments = kind(
        output_dir=str(out_dir / "checkpoints"),
        max_steps=updates,
        per_device_train_batch_size=per_device,
        gradient_accumulation_steps=passes,
        learning_rate=config.learning_rate,
        lr_scheduler_type=schedule,
        warmup_steps=config.warmup_updates,
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        optim="adamw_torch_fused",
        bf16=config.dtype == "bfloat16",
        # Said aloud, or bfloat16 is refused where there is no accelerator.
        use_cpu=not torch.accelerator.is_available(),
        seed=seed,
        data_seed=seed,
        train_sampling_strategy="sequential",
        # Off, or a NaN would be replaced by an average and never be seen.
        logging_nan_inf_filter=False,
        logging_first_step=True,
        logging_steps=LOG_EVERY,
        save_strategy="steps" if every < updates else "no",
        save_steps=every,
        # Two: until the newest is marked complete, the one before it is the last good one.
        save_total_limit=2,
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
        remove_unused_columns=False,
        **more,
    )
    if arguments.n_gpu > 1:
        # Or the batch would be split over every visible device by nn.DataParallel.
        arguments._n_gpu = 1
    return arguments


def _quiet(trainer: Any) -> Any:
    trainer.remove_callback(transformers.PrinterCallback)
    return trainer


class Watch(TrainerCallback):  # type: ignore[misc]
    """Watches one run: keeps weights, marks checkpoints, reports progress, stops on NaN.

    The Trainer calls it; every hook is one of its documented events.
    """

    def __init__(
        self,
        config: ExplainStage | SFTStage | DPOStage,
        tokenizer: Any,
        out_dir: Path,
        manifest: Mapping[str, Any],
        progress: Progress,
        resumed_at: int,
    ) -> None:
        self._config, self._tokenizer, self._out_dir = config, tokenizer, out_dir
        self._manifest, self._progress = manifest, progress
        self._resumed_at = self._step = resumed_at
        self._last_good: Path | None = None
        self._shown = 0.0

    def bad_loss(self, value: float) -> None:
        """Stop because the loss (or the gradient norm) is not finite."""
        found = checkpoint.newest_complete(self._out_dir / "checkpoints", self._manifest)
        good = f"the last good checkpoint is {found[0]}" if found else "no checkpoint was written"
        raise TrainingStopped(
            f"{self._config.kind}: the loss or its gradient is {value} at update {self._step + 1}; "
            f"{good}. Lower learning_rate ({self._config.learning_rate:g}), add warmup_updates, "
            "or look for broken rows in the data"
        )

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        self._step = state.global_step
        if self._step in self._config.keep_at:
            save_model(kwargs["model"], self._tokenizer, kept_folder(self._out_dir, self._step))
        if self._step >= state.max_steps:
            # Logged, and not saved as a checkpoint: the finished weights are saved by run.py.
            control.should_log, control.should_save = True, False
        now = time.monotonic()
        if now - self._shown > 0.2 or self._step >= state.max_steps:
            self._shown = now
            self._progress(self._step, state.max_steps, self._config.kind)
        return control

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        # Logging comes before saving, so a checkpoint never holds what this refuses.
        row = state.log_history[-1]
        for key in ("loss", "grad_norm"):
            if key in row and not math.isfinite(float(row[key])):
                self.bad_loss(float(row[key]))
        if isinstance(self._config, DPOStage) and state.global_step == 1 and "loss" in row:
            expected = _FIRST_DPO_LOSS[self._config.loss_type](self._config.beta)
            if abs(float(row["loss"]) - expected) > 1e-3 * max(1.0, expected):
                raise TrainingStopped(
                    f"dpo: the first loss is {float(row['loss']):.4f} and must be {expected:.4f}: "
                    "the reference is not the model this stage starts from"
                )

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        folder = self._out_dir / "checkpoints" / f"checkpoint-{state.global_step}"
        checkpoint.mark_complete(folder, state.global_step, self._manifest)


def kept_folder(out_dir: Path, step: int) -> Path:
    """Where the weights after `step` updates are kept."""
    return out_dir / "kept" / f"step-{step}"
