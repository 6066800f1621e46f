"""The one module that knows the arguments of transformers' Trainer and of TRL's trainers.

`explain` and `sft` run on `transformers.Trainer` with the project's collator and loss; `dpo`,
`kto`, `reward`, `rloo` and `grpo` on the TRL trainer of that name. The Trainer's own resume accepts
other data, other rates and torn checkpoints, and trains a finished run once more; run.py decides
what it may resume from. Leaves out: ppo (a package of its own), quantisation, sequence parallelism.
"""

import functools
import gc
import math
import os
import warnings
from collections.abc import Callable
from typing import Any

import torch
import transformers
from huggingface_hub import constants as hub
from transformers import Trainer, TrainingArguments

from whyfirst.config.errors import ConfigError
from whyfirst.train import processes
from whyfirst.train.collate import PairData, ResponseData, ScoredPairData, SlotData, slot_collator
from whyfirst.train.config import (
    LOG_EVERY,
    AnyStage,
    DPOStage,
    GroupStage,
    GRPOStage,
    KTOStage,
    RewardStage,
    TokenStage,
)
from whyfirst.train.encode import Encoded
from whyfirst.train.job import Job, OnlineJob
from whyfirst.train.loss import mean_token_loss, packing_is_exact, select_positions
from whyfirst.train.plan import Plan
from whyfirst.train.track import Tracker, Tracking
from whyfirst.train.watch import Watch, kept_folder
from whyfirst.train.weights import Start, load_model, save_model

__all__ = [
    "dpo_trainer",
    "forward_passes",
    "group_trainer",
    "kept_folder",
    "kto_trainer",
    "load_model",
    "quiet_libraries",
    "reward_trainer",
    "save_model",
    "token_trainer",
]


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


def forward_passes(config: AnyStage) -> int:
    """Forward passes of each process that make up one update of the global batch.

    Raises:
        ConfigError: started as a number of processes that can't share the batch evenly, or as
            several where the kind runs in one.
    """
    rows = config.batch_size // _processes(config)
    return math.ceil(rows / (config.micro_batch_size or rows))


def _processes(config: AnyStage) -> int:
    found = processes.count()
    if found > 1 and isinstance(config, GroupStage):
        raise ConfigError(
            f"{config.kind} runs in one process here; start it without a distributed launcher "
            f"(WORLD_SIZE is {found})"
        )
    if config.batch_size % found:
        raise ConfigError(
            f"{config.kind}: batch_size {config.batch_size} is no multiple of the {found} "
            "processes; choose one that is"
        )
    return found


def token_trainer(
    job: Job, config: TokenStage, start: Start, encoded: Encoded, plan: Plan, watch: Watch
) -> tuple[Any, str]:
    """A Trainer ready to train `explain` or `sft`, and the layout chosen ("packed", "padded")."""
    passes = forward_passes(config)
    slots = passes * processes.count()
    pad_id = job.tokenizer.pad_token_id
    model = start.adapted()
    if config.gradient_checkpointing and hasattr(model, "enable_input_require_grads"):
        # The frozen embeddings would otherwise cut the recomputed layers off from the loss.
        model.enable_input_require_grads()
    packed = packing_is_exact(model, pad_id)
    trainer = Trainer(
        model=model,
        args=_arguments(TrainingArguments, job, config, len(plan.updates), passes, 1),
        train_dataset=SlotData(encoded.examples, plan.slots(slots), slots),
        data_collator=slot_collator(pad_id, packed=packed),
        compute_loss_func=mean_token_loss(select_positions(model), watch.bad_loss),
        callbacks=[watch],
    )
    return _quiet(trainer, job), "packed" if packed else "padded"


def dpo_trainer(
    job: Job, config: DPOStage, start: Start, encoded: Encoded, plan: Plan, watch: Watch
) -> Any:
    """A DPOTrainer whose reference is the model the stage starts from.

    With whole weights a second copy of it; with an adapter the model without it, or, where the
    adapter is continued, with its first state.
    """
    from trl import DPOConfig, DPOTrainer
    from trl.trainer.dpo_trainer import DataCollatorForPreference

    arguments = _arguments(
        DPOConfig, job, config, len(plan.updates), *_even(config),
        beta=config.beta, loss_type=[config.loss_type], max_length=config.max_length,
    )  # fmt: skip
    trainer = DPOTrainer(
        **_common(job, start, arguments, watch),
        ref_model=_reference(job, config),
        train_dataset=_placeholder({"prompt": "", "chosen": "", "rejected": ""}),
        data_collator=DataCollatorForPreference(
            pad_token_id=job.tokenizer.pad_token_id, max_length=config.max_length
        ),
    )
    trainer.train_dataset = PairData(encoded.pairs, _order(plan))
    return _quiet(trainer, job)


def kto_trainer(
    job: Job, config: KTOStage, start: Start, encoded: Encoded, plan: Plan, watch: Watch
) -> Any:
    """A KTOTrainer; its reference as for dpo."""
    from trl import KTOConfig, KTOTrainer
    from trl.trainer.kto_trainer import DataCollatorForUnpairedPreference

    passes, micro = _even(config)
    if micro < 2:
        raise ConfigError(
            "kto: a forward pass of one row has no other row's response to estimate the KL from; "
            "set micro_batch_size to at least 2"
        )
    arguments = _arguments(
        KTOConfig, job, config, len(plan.updates), passes, micro,
        beta=config.beta, max_length=config.max_length,
        desirable_weight=config.desirable_weight, undesirable_weight=config.undesirable_weight,
    )  # fmt: skip
    placeholder = [{"prompt": "", "completion": "", "label": label} for label in (True, False)]
    trainer = KTOTrainer(
        **_common(job, start, arguments, watch),
        ref_model=_reference(job, config),
        train_dataset=_placeholder(*placeholder),
        data_collator=DataCollatorForUnpairedPreference(
            pad_token_id=job.tokenizer.pad_token_id, max_length=config.max_length
        ),
    )
    trainer.train_dataset = ResponseData(encoded.examples, encoded.labels, _order(plan), micro)
    return _quiet(trainer, job)


def reward_trainer(
    job: Job, config: RewardStage, start: Start, encoded: Encoded, plan: Plan, watch: Watch
) -> Any:
    """A RewardTrainer on the pairs of the plan."""
    from trl import RewardConfig, RewardTrainer

    arguments = _arguments(
        RewardConfig, job, config, len(plan.updates), *_even(config),
        max_length=config.max_length,
        center_rewards_coefficient=config.center_rewards_coefficient or None,
    )  # fmt: skip
    trainer = RewardTrainer(
        **_common(job, start, arguments, watch),
        train_dataset=_placeholder({"chosen_ids": [0], "rejected_ids": [0]}),
    )
    trainer.train_dataset = ScoredPairData(
        encoded.pairs, encoded.margins, _order(plan), config.max_length
    )
    return _quiet(trainer, job)


def group_trainer(
    online: OnlineJob,
    config: GroupStage,
    start: Start,
    watch: Watch,
    updates: int,
    reward: Callable[..., list[float]],
) -> Any:
    """An RLOOTrainer or GRPOTrainer; its reference as for dpo.

    One generation is one update's batch (`iterations` updates use it), so a checkpoint that falls
    on a multiple of `iterations` needs no buffer of responses, which TRL would not save.

    Args:
        reward: TRL's only reward function; its rows' column `row` is an index into the prompts.
    """
    import trl

    job = online.job
    more: dict[str, Any] = {
        "num_generations": config.group_size,
        "max_completion_length": config.max_new_tokens,
        "temperature": config.temperature,
        "beta": config.beta,
        "num_iterations": config.iterations,
        "epsilon": config.clip,
        "shuffle_dataset": False,  # the plan has an order
        "disable_dropout": True,  # or the first ratio and the first KL would be noise
        "log_completions": False,
    }
    if isinstance(config, GRPOStage):
        more |= {"loss_type": config.loss_type, "scale_rewards": config.scale_rewards}
        kinds = trl.GRPOConfig, trl.GRPOTrainer
    else:
        kinds = trl.RLOOConfig, trl.RLOOTrainer
    arguments = _arguments(kinds[0], job, config, updates, *_even(config), **more)
    common = _common(job, start, arguments, watch)
    trainer = kinds[1](
        **common, reward_funcs=[reward], train_dataset=_placeholder({"prompt": "", "row": 0})
    )
    texts, tokens = online.prompts.texts, online.prompts.ids
    trainer.train_dataset = [
        {"prompt": texts[row], "row": row} for update in online.plan.updates for (row,) in update
    ]
    # Tokenised as everywhere else: TRL would add special tokens to a prompt a template has made.
    known = dict(zip(texts, tokens, strict=True))
    trainer._tokenize_prompts = lambda prompts: ([known[text] for text in prompts], None, {})
    return _quiet(trainer, job)


def _common(job: Job, start: Start, arguments: Any, watch: Watch) -> dict[str, Any]:
    return {
        "model": start.model,
        "args": arguments,
        "processing_class": job.tokenizer,
        "peft_config": start.peft,
        "callbacks": [watch],
    }


def _reference(job: Job, config: AnyStage) -> Any:
    """The frozen copy that a stage of whole weights is compared with."""
    return None if config.lora is not None else load_model(job.model_dir)


def _placeholder(*rows: dict[str, Any]) -> Any:
    """TRL insists on tokenising a data set of its own; it gets a harmless one.

    The real rows, tokenised as in every other stage, take its place before training.
    """
    import datasets

    datasets.disable_progress_bars()
    return datasets.Dataset.from_list(list(rows))


def _order(plan: Plan) -> list[int]:
    return [index for update in plan.updates for (index,) in update]


def _even(config: AnyStage) -> tuple[int, int]:
    """Forward passes of each process in an update, and rows of each, the same in all.

    Raises:
        ConfigError: as `forward_passes`, or the rows of a process don't come out even.
    """
    passes = forward_passes(config)
    rows = config.batch_size // processes.count()
    if rows % passes:
        share = "batch_size" if rows == config.batch_size else "each process's share of batch_size,"
        raise ConfigError(
            f"{config.kind}: micro_batch_size {config.micro_batch_size} does not divide {share} "
            f"{rows}; choose one that does"
        )
    return passes, rows // passes


def _arguments(
    kind: Any,
    job: Job,
    config: AnyStage,
    updates: int,
    passes: int,
    per_device: int,
    **more: Any,
) -> Any:
    schedule = config.schedule
    if schedule == "constant" and config.warmup_updates:
        schedule = "constant_with_warmup"  # type: ignore[assignment]
    online = isinstance(config, GroupStage)
    unit = math.lcm(LOG_EVERY, config.iterations) if isinstance(config, GroupStage) else LOG_EVERY
    every = unit * math.ceil(config.checkpoint_every / unit)
    arguments = kind(
        output_dir=str(job.out_dir / "checkpoints"),
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
        logging_steps=1 if online else LOG_EVERY,
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
    if arguments.n_gpu > 1:
        # Or the batch would be split over every visible device by nn.DataParallel.
        arguments._n_gpu = 1
    return arguments


def _quiet(trainer: Any, job: Job) -> Any:
    trainer.remove_callback(transformers.PrinterCallback)
    # TRL writes one at every checkpoint, and asks trackers for addresses to put into it.
    trainer.create_model_card = lambda *_, **__: None
    if job.config.report_to:
        trainer.add_callback(Tracking(Tracker(job)))
    return trainer
