"""What every kind's trainer shares: the arguments of transformers' Trainer and of TRL's.

Each kind makes its own trainer (`kinds`); `explain` and `sft` share `token_trainer`. The Trainer's
own resume accepts other data, other rates and torn checkpoints, and trains a finished run once
more; `checkpoint` decides what it may resume from. Leaves out: ppo (a package of its own),
quantisation, sequence parallelism.
"""

import functools
import gc
import math
import os
import warnings
from typing import Any

import torch
import transformers
from huggingface_hub import constants as hub
from transformers import Trainer, TrainingArguments

from whyfirst.config.errors import ConfigError
from whyfirst.train import processes
from whyfirst.train.collate import SlotData, slot_collator
from whyfirst.train.config_base import LOG_EVERY, Stage
from whyfirst.train.job import Job, Run
from whyfirst.train.loss import mean_token_loss, packing_is_exact, select_positions
from whyfirst.train.track import Tracker, Tracking
from whyfirst.train.watch import Watch
from whyfirst.train.weights import Start


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


def forward_passes(config: Stage) -> int:
    """Forward passes of each process that make up one update of the global batch.

    Raises:
        ConfigError: started as a number of processes that can't share the batch evenly, or as
            several where the kind runs in one.
    """
    found = processes.count()
    if found > 1 and hasattr(config, "group_size"):
        raise ConfigError(
            f"{config.kind} runs in one process here; start it without a distributed launcher "
            f"(WORLD_SIZE is {found})"
        )
    if config.batch_size % found:
        raise ConfigError(
            f"{config.kind}: batch_size {config.batch_size} is no multiple of the {found} "
            "processes; choose one that is"
        )
    rows = config.batch_size // found
    return math.ceil(rows / (config.micro_batch_size or rows))


def token_trainer(run: Run) -> tuple[Any, str]:
    """A Trainer of given tokens, and the layout chosen ("packed", "padded")."""
    passes, pad_id = forward_passes(run.job.config), run.job.tokenizer.pad_token_id
    model, slots = whole_model(run), passes * processes.count()
    packed = packing_is_exact(model, pad_id)
    made = Trainer(
        model=model,
        args=arguments(TrainingArguments, run.job, len(run.plan.updates), passes, 1),
        train_dataset=SlotData(run.encoded.examples, run.plan.slots(slots), slots),
        data_collator=slot_collator(pad_id, packed=packed),
        compute_loss_func=mean_token_loss(select_positions(model), run.watch.bad_loss),
        callbacks=[run.watch],
    )
    return made, "packed" if packed else "padded"


def whole_model(run: Run) -> Any:
    """The model to train with its adapter on it, for a Trainer of transformers."""
    model = run.start.adapted()
    if run.job.config.gradient_checkpointing and hasattr(model, "enable_input_require_grads"):
        # The frozen embeddings would otherwise cut the recomputed layers off from the loss.
        model.enable_input_require_grads()
    return model


def common(job: Job, start: Start, arguments: Any, watch: Watch) -> dict[str, Any]:
    """What all of TRL's trainers are given."""
    return {
        "model": start.model,
        "args": arguments,
        "processing_class": job.tokenizer,
        "peft_config": start.peft,
        "callbacks": [watch],
    }


def placeholder(*rows: dict[str, Any]) -> Any:
    """TRL insists on tokenising a data set of its own; it gets a harmless one.

    The real rows, tokenised as in every other stage, take its place before training.
    """
    import datasets

    datasets.disable_progress_bars()
    return datasets.Dataset.from_list(list(rows))


def even(config: Stage) -> tuple[int, int]:
    """Forward passes of each process in an update, and rows of each, the same in all.

    Raises:
        ConfigError: as `forward_passes`, or the rows of a process don't come out even.
    """
    passes = forward_passes(config)
    # TRL takes a number of rows a pass, so a pass with fewer would be another batch.
    rows = config.batch_size // processes.count()
    if rows % passes:
        share = "batch_size" if rows == config.batch_size else "each process's share of batch_size,"
        raise ConfigError(
            f"{config.kind}: micro_batch_size {config.micro_batch_size} does not divide {share} "
            f"{rows}; choose one that does"
        )
    return passes, rows // passes


def schedule(config: Stage) -> str:
    """How the learning rate goes, by transformers' name for it."""
    # Its plain "constant" would leave the warm-up out and say nothing.
    warms_up = config.schedule == "constant" and config.warmup_updates
    return "constant_with_warmup" if warms_up else config.schedule


def arguments(
    kind: Any, job: Job, updates: int, passes: int, per_device: int, every: int = 1, **more: Any
) -> Any:
    """The arguments of a trainer, those that TRL adds to transformers' among `more`.

    Args:
        every: checkpoints fall on multiples of it.
    """
    config = job.config
    # A checkpoint between two rows of the log would lose what a resumed run logs.
    unit = math.lcm(LOG_EVERY, every)
    every = unit * math.ceil(config.checkpoint_every / unit)
    made = kind(
        output_dir=str(job.out_dir / "checkpoints"),
        max_steps=updates,
        per_device_train_batch_size=per_device,
        gradient_accumulation_steps=passes,
        learning_rate=config.learning_rate,
        lr_scheduler_type=schedule(config),
        warmup_steps=config.warmup_updates,
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        optim="adamw_torch_fused",
        bf16=config.dtype == "bfloat16",
        # TRL's default is to trade time for memory.
        gradient_checkpointing=config.gradient_checkpointing,
        # Said aloud, or bfloat16 is refused where there is no accelerator.
        use_cpu=not torch.accelerator.is_available(),
        seed=job.seed,
        data_seed=job.seed,
        train_sampling_strategy="sequential",
        # Off, or a NaN would be replaced by an average and never be seen.
        logging_nan_inf_filter=False,
        logging_first_step=True,
        logging_steps=more.pop("logging_steps", LOG_EVERY),
        save_strategy="steps" if every < updates else "no",
        save_steps=every,
        # Two: until the newest is marked complete, the one before it is the last good one.
        save_total_limit=2,
        report_to="none",  # they would send whole configurations: track.py
        disable_tqdm=True,
        dataloader_pin_memory=False,
        remove_unused_columns=False,
        **more,
    )
    if made.n_gpu > 1:
        # Or the batch would be split over every visible device by nn.DataParallel.
        made._n_gpu = 1
    return made


def quiet(trainer: Any, job: Job) -> Any:
    """The trainer, saying nothing by itself and telling the trackers the stage names."""
    trainer.remove_callback(transformers.PrinterCallback)
    # TRL writes one at every checkpoint, and asks trackers for addresses to put into it.
    trainer.create_model_card = lambda *_, **__: None
    if job.config.report_to:
        trainer.add_callback(Tracking(Tracker(job)))
    return trainer
