"""Each kind on TRL's own trainer, called as its documentation does, with the stage's options.

What benchmarks/training.py measures against; ppo is missing because TRL removed it in 1.13, and
packed documents because its packing needs a flash kernel to keep them apart.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from whyfirst.train.plan import held_out, make_plan, make_prompt_plan
from whyfirst.train.weights import load_model, load_scorer, load_tokenizer


def _arguments(kind: Any, case: Any, folder: Path, **more: Any) -> Any:
    config = case.config
    return kind(
        output_dir=str(folder / "trl"), max_steps=config.updates,
        per_device_train_batch_size=config.batch_size, learning_rate=config.learning_rate,
        lr_scheduler_type="constant", max_grad_norm=config.max_grad_norm,
        optim="adamw_torch_fused", gradient_checkpointing=False, bf16=False, use_cpu=True,
        logging_steps=10, save_strategy="no", report_to="none", disable_tqdm=True,
        dataloader_pin_memory=False, train_sampling_strategy="sequential", **more,
    )  # fmt: skip


def _rows(case: Any) -> Any:
    """The stage's rows in the order it trains on them, as a data set."""
    import datasets

    rows = case.rows
    if case.name == "reward":
        kept = held_out([row["prompt"] for row in rows], case.config.held_out)
        rows = [row for row, out in zip(rows, kept, strict=True) if not out]
    plan = make_plan(case.config, [1] * len(rows), [], 0)
    datasets.disable_progress_bars()
    return datasets.Dataset.from_list([rows[i] for update in plan.updates for (i,) in update])


def _train(trainer: Any, folder: Path, tokens: float | None = None) -> float:
    from transformers import PrinterCallback

    trainer.remove_callback(PrinterCallback)  # or its lines come between those of the table
    trainer.train()
    trainer.save_model(str(folder / "trl"))
    return float(trainer.state.num_input_tokens_seen) if tokens is None else tokens


def _count(case: Any, tokenizer: Any, rows: Any) -> float:
    """Tokens of the rows, an end to each response: `StageResult.tokens_total`."""
    words = {
        name: [len(ids) for ids in tokenizer(list(rows[name]))["input_ids"]]
        for name in rows.column_names if name != "label"
    }  # fmt: skip
    ends = {"chosen": 1, "rejected": 1, "completion": 1, "text": 1}
    total = sum(sum(counts) + ends.get(name, 0) * len(counts) for name, counts in words.items())
    return total + (sum(words["prompt"]) if "chosen" in words else 0)


def sft(case: Any, folder: Path) -> float:
    """explain and sft."""
    from trl import SFTConfig, SFTTrainer

    tokenizer, rows = load_tokenizer(folder / "base"), _rows(case)
    arguments = _arguments(SFTConfig, case, folder, max_length=case.config.max_length)
    trainer = SFTTrainer(
        model=load_model(folder / "base"), args=arguments, train_dataset=rows,
        processing_class=tokenizer,
    )  # fmt: skip
    return _train(trainer, folder, _count(case, tokenizer, rows))


def dpo(case: Any, folder: Path) -> float:
    from trl import DPOConfig, DPOTrainer

    tokenizer, rows = load_tokenizer(folder / "base"), _rows(case)
    arguments = _arguments(DPOConfig, case, folder, beta=case.config.beta, max_length=256)
    trainer = DPOTrainer(
        model=load_model(folder / "base"), ref_model=load_model(folder / "base"), args=arguments,
        train_dataset=rows, processing_class=tokenizer,
    )  # fmt: skip
    return _train(trainer, folder, _count(case, tokenizer, rows))


def kto(case: Any, folder: Path) -> float:
    from trl import KTOConfig, KTOTrainer

    tokenizer, rows = load_tokenizer(folder / "base"), _rows(case)
    arguments = _arguments(KTOConfig, case, folder, beta=case.config.beta, max_length=256)
    trainer = KTOTrainer(
        model=load_model(folder / "base"), ref_model=load_model(folder / "base"), args=arguments,
        train_dataset=rows, processing_class=tokenizer,
    )  # fmt: skip
    return _train(trainer, folder, _count(case, tokenizer, rows))


def reward(case: Any, folder: Path) -> float:
    from trl import RewardConfig, RewardTrainer

    tokenizer, rows = load_tokenizer(folder / "base"), _rows(case)
    model = load_scorer(folder / "base")
    model.config.pad_token_id = tokenizer.pad_token_id
    arguments = _arguments(
        RewardConfig, case, folder, max_length=256,
        center_rewards_coefficient=case.config.center_rewards_coefficient,
    )  # fmt: skip
    trainer = RewardTrainer(
        model=model, args=arguments, train_dataset=rows, processing_class=tokenizer
    )
    return _train(trainer, folder, _count(case, tokenizer, rows))


def groups(case: Any, folder: Path) -> float:
    """rloo and grpo."""
    import datasets
    import trl

    from whyfirst.train.rewards.wording import repeated

    config, tokenizer = case.config, load_tokenizer(folder / "base")
    seen = 0

    def repetition(completion_ids: list[list[int]], **_: Any) -> list[float]:
        nonlocal seen
        seen += sum(map(len, completion_ids))
        return [-repeated(ids) for ids in completion_ids]

    more: dict[str, Any] = {
        "num_generations": config.group_size, "max_completion_length": config.max_new_tokens,
        "beta": config.beta, "temperature": config.temperature, "shuffle_dataset": False,
    }  # fmt: skip
    kinds = {"rloo": (trl.RLOOConfig, trl.RLOOTrainer), "grpo": (trl.GRPOConfig, trl.GRPOTrainer)}
    plan = make_prompt_plan(config, len(case.rows), 0)
    rows = [case.rows[i] for update in plan.updates for (i,) in update]
    trainer = kinds[config.kind][1](
        model=load_model(folder / "base"), reward_funcs=[repetition],
        args=_arguments(kinds[config.kind][0], case, folder, **more),
        train_dataset=datasets.Dataset.from_list(rows), processing_class=tokenizer,
    )  # fmt: skip
    counts = [len(ids) for ids in tokenizer([row["prompt"] for row in rows])["input_ids"]]
    return _train(trainer, folder, 0.0) + sum(counts) * config.group_size + seen


TRL: dict[str, Callable[[Any, Path], float]] = {
    "explain": sft, "sft": sft, "dpo": dpo, "kto": kto, "reward": reward, "rloo": groups,
    "grpo": groups, "grpo_64": groups,
}  # fmt: skip
