"""Stages whose every token is known before training: explain, sft, dpo, kto, reward.

Reads and checks the data, trains, saves, counts. Leaves out: the trainers' arguments (`adapter`).
"""

from collections.abc import Mapping
from typing import Any

from whyfirst.config.errors import DataError
from whyfirst.train import preflight, processes
from whyfirst.train.config import (
    DPOStage,
    ExplainStage,
    KTOStage,
    OfflineStage,
    PairStage,
    RewardStage,
    SFTStage,
)
from whyfirst.train.encode import Encoded, encode, render_prompts
from whyfirst.train.job import Job, Trained
from whyfirst.train.plan import Plan, held_out, make_plan


def train_offline(job: Job, config: OfflineStage) -> tuple[Trained, dict[str, Any]]:
    """Train, save `model/`, and return the log with the totals of `StageResult`."""
    encoded = encode(config, job.tokenizer, job.data)
    kept = _held_out(job, config, encoded)
    plan = _plan(config, encoded, job.seed, kept)
    findings = preflight.examine(config, job.tokenizer, job.model_dir, encoded, plan, job.data)
    preflight.settle(findings, job.out_dir)

    history, layout = _train(job, config, encoded, plan, kept)
    counts = _cumulative(config, encoded, plan)
    log = [_log_row(row, counts) for row in history if "loss" in row]
    return Trained(log, layout), _totals(config, encoded, plan)


def _train(
    job: Job, config: OfflineStage, encoded: Encoded, plan: Plan, kept: list[int]
) -> tuple[list[dict[str, Any]], str]:
    """Train, save `model/` and return the trainer's log and the layout used."""
    from dataclasses import replace

    from transformers import set_seed

    from whyfirst.train import adapter, checkpoint, weights
    from whyfirst.train.watch import Watch, first_loss_check

    adapter.quiet_libraries()
    found = checkpoint.resume_point(job.out_dir / "checkpoints", job.manifest)
    job = replace(job, model_dir=weights.materialise(config, job.model_dir, job.out_dir))
    # Dropout and fresh weights must not depend on what this process ran before.
    set_seed(job.seed)
    start = weights.load_start(config, job.model_dir)
    check = first_loss_check(config) if isinstance(config, DPOStage) else None
    watch = Watch(job, found[1] if found else 0, check)
    layout = "padded"
    set_seed(job.seed)
    match config:
        case ExplainStage() | SFTStage():
            trainer, layout = adapter.token_trainer(job, config, start, encoded, plan, watch)
        case DPOStage():
            trainer = adapter.dpo_trainer(job, config, start, encoded, plan, watch)
        case KTOStage():
            trainer = adapter.kto_trainer(job, config, start, encoded, plan, watch)
        case RewardStage():
            trainer = adapter.reward_trainer(job, config, start, encoded, plan, watch)
    trainer.train(resume_from_checkpoint=str(found[0]) if found else None)
    if isinstance(config, RewardStage) and processes.is_main():
        from whyfirst.train.reward_report import write_report

        write_report(job, config, trainer.model, encoded, kept)
    weights.save_model(trainer.model, job.tokenizer, job.out_dir / "model", config.lora)
    return list(trainer.state.log_history), layout


def _held_out(job: Job, config: OfflineStage, encoded: Encoded) -> list[int]:
    """Pairs that a reward stage keeps for its report: those of some prompts, chosen by hash."""
    if not isinstance(config, RewardStage):
        return []
    path = encoded.files["pairs"]
    texts, _ = render_prompts(job.tokenizer, encoded.rows["pairs"], path, config.format)
    kept = [i for i, out in enumerate(held_out(texts, config.held_out)) if out]
    if not kept or len(kept) == len(texts):
        raise DataError(
            f"{path}: held_out {config.held_out:g} of {len(texts)} pairs holds out {len(kept)}; "
            "give more prompts or another share"
        )
    return kept


def _plan(config: OfflineStage, encoded: Encoded, seed: int, kept: list[int]) -> Plan:
    if isinstance(config, PairStage):
        without = set(kept)
        trained = [i for i in range(len(encoded.pairs)) if i not in without]
        lengths = [encoded.pairs[i].length for i in trained]
        return make_plan(config, lengths, [], seed).of(trained)
    main = [len(e.ids) for e in encoded.examples if e.source != "replay"]
    replay = [len(e.ids) for e in encoded.examples if e.source == "replay"]
    return make_plan(config, main, replay, seed)


def _tokens(config: OfflineStage, encoded: Encoded) -> list[tuple[int, int]]:
    """(all, trained) tokens of each example or pair."""
    if not isinstance(config, PairStage):
        return [(len(e.ids), e.trained) for e in encoded.examples]
    counts = []
    for pair in encoded.pairs:
        both = [len(pair.prompt) + len(side) for side in (pair.chosen, pair.rejected)]
        seen = [min(n, config.max_length) for n in both]
        counts.append((sum(seen), sum(seen) - 2 * min(len(pair.prompt), config.max_length)))
    return counts


def _cumulative(config: OfflineStage, encoded: Encoded, plan: Plan) -> list[int]:
    """Trained tokens after 0, 1, 2, ... updates."""
    counts, total = _tokens(config, encoded), [0]
    for update in plan.updates:
        total.append(total[-1] + sum(counts[i][1] for row in update for i in row))
    return total


def _totals(config: OfflineStage, encoded: Encoded, plan: Plan) -> dict[str, Any]:
    counts = _tokens(config, encoded)
    seen = [(row, i) for update in plan.updates for row in update for i in row]
    replayed = [i for _, i in seen if encoded.examples and encoded.examples[i].source == "replay"]
    first_replay = len(counts) - len(encoded.rows.get("replay", ()))
    rows = sum(row[0] < first_replay for update in plan.updates for row in update)
    return {
        "updates": len(plan.updates),
        "documents": len(seen) - len(replayed),
        "replay_documents": len(replayed),
        "tokens_total": sum(counts[i][0] for _, i in seen),
        "tokens_trained": sum(counts[i][1] for _, i in seen),
        "tokens_replay": sum(counts[i][0] for i in replayed),
        "epochs": round(rows / plan.rows, 4),
    }


def _log_row(row: Mapping[str, Any], counts: list[int]) -> dict[str, Any]:
    found = {
        "step": int(row["step"]),
        "loss": float(row["loss"]),
        "lr": float(row["learning_rate"]),
        "grad_norm": float(row["grad_norm"]),
        "tokens": counts[int(row["step"])],
    }
    for ours, theirs in (("accuracy", "rewards/accuracies"), ("margin", "rewards/margins")):
        if theirs in row:
            found[ours] = float(row[theirs])
    return found
