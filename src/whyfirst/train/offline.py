"""The course of every stage whose tokens are known before training.

Reads and checks the data, trains, saves, counts. Leaves out: how a kind trains (`kinds`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from transformers import set_seed

from whyfirst.config.errors import ConfigError
from whyfirst.config.files import write_json
from whyfirst.train import checkpoint, preflight, processes, trainer, weights
from whyfirst.train.config_base import LOG_EVERY
from whyfirst.train.encode import Encoded, encode
from whyfirst.train.job import Job, Run, Trained
from whyfirst.train.kinds import kind_of
from whyfirst.train.plan import SEEN, Plan, make_plan
from whyfirst.train.watch import GrowingLog, Watch


def train_offline(
    job: Job,
    make: Callable[[Run], tuple[Any, str]],
    *,
    kept: Callable[[Encoded], list[int]] = lambda encoded: [],
    finished: Callable[[Run, Any], None] | None = None,
) -> tuple[Trained, dict[str, Any]]:
    """Train, save `model/`, and return the log with the totals of `StageResult`.

    Args:
        make: the kind's trainer and the layout it uses.
        kept: indices of the rows that nothing is trained on.
        finished: given the trained model once it is saved, in the main process.

    Raises:
        ConfigError: weights are to be kept after updates that aren't made.
    """
    config = job.config
    encoded = encode(config, job.tokenizer, job.data)
    apart, tokens = kept(encoded), encoded.tokens(config.max_length)
    sizes = [len(e.ids) for e in encoded.examples] or encoded.lengths
    replay = [i for i, e in enumerate(encoded.examples) if e.source == "replay"]
    # Rows kept out of training must not move the others: their order depends on how many there are.
    main = sorted({*range(len(sizes))} - {*replay, *apart})
    planned = [sizes[i] for i in main], [sizes[i] for i in replay]
    plan = make_plan(config, *planned, job.seed).of([*main, *replay])
    if beyond := config.kept_beyond(len(plan.updates)):
        raise ConfigError(f"{config.kind}: {beyond}")
    findings = preflight.examine(config, job.tokenizer, job.model_dir, encoded, plan, job.data)
    preflight.settle(findings, job.out_dir)

    trainer.quiet_libraries()
    found = checkpoint.resume_point(job.out_dir / "checkpoints", job.manifest)
    job = replace(job, model_dir=weights.materialise(job))
    # Dropout and fresh weights must not depend on what this process ran before.
    set_seed(job.seed)
    kind = kind_of(config)
    start = weights.load_start(
        config, job.model_dir, scorer=kind.makes == "reward_model", dropout=kind.dropout
    )
    # Loading may have drawn (a reward model's new layer): training starts from the same draw.
    set_seed(job.seed)
    growing = GrowingLog(job.out_dir)

    def grew(history: Sequence[Mapping[str, Any]]) -> None:
        growing.show(_log(history, tokens, plan))

    watch = Watch(job, found[1] if found else 0, grew, every=LOG_EVERY)
    run = Run(job, start, encoded, plan, apart, watch)
    # A trainer is made from the reseeded state, since a fresh adapter is drawn there.
    made, layout = make(run)
    trainer.quiet(made, job).train(resume_from_checkpoint=str(found[0]) if found else None)
    weights.save_model(made.model, job.tokenizer, job.out_dir / "model", config.lora)
    if finished is not None and processes.is_main():
        finished(run, made.model)

    log = _log(made.state.log_history, tokens, plan)
    seen = [i for update in plan.updates for row in update for i in row]
    is_replay = {*replay}.__contains__
    replayed = [i for i in seen if is_replay(i)]
    if processes.is_main():
        _note_seen(job.out_dir, encoded, {*seen} - {*replayed})
    # Packed rows hold several documents, all of the main file or all of replay.
    rows = sum(not is_replay(row[0]) for update in plan.updates for row in update)
    return Trained(log, layout), {
        "updates": len(plan.updates),
        "documents": len(seen) - len(replayed),
        "replay_documents": len(replayed),
        "tokens_total": sum(tokens[i][0] for i in seen),
        "tokens_trained": sum(tokens[i][1] for i in seen),
        "tokens_replay": sum(tokens[i][0] for i in replayed),
        "epochs": round(rows / plan.rows, 4),
    }


def _note_seen(folder: Path, encoded: Encoded, seen: set[int]) -> None:
    """Keep which rows of the main file were trained on, where some weren't."""
    if len(seen) < len(encoded.main[0]):
        lines = encoded.lines
        write_json(folder / SEEN, {"lines": sorted(lines[index] for index in seen)})


# What a kind's trainer logs beside the loss (TRL's by their paths) -> what log.jsonl calls it.
_MEASURED = {
    "accuracy": "accuracy", "margin": "margin",
    "rewards/accuracies": "accuracy", "rewards/margins": "margin",
}  # fmt: skip


def _log(
    history: Sequence[Mapping[str, Any]], tokens: list[tuple[int, int]], plan: Plan
) -> list[dict[str, Any]]:
    """The trainer's log as rows of log.jsonl, with the trained tokens so far."""
    total = [0]
    for update in plan.updates:
        total.append(total[-1] + sum(tokens[i][1] for row in update for i in row))
    return [
        {"step": int(row["step"]), "loss": float(row["loss"]), "lr": float(row["learning_rate"])}
        | {"grad_norm": float(row["grad_norm"]), "tokens": total[int(row["step"])]}
        | {ours: float(row[theirs]) for theirs, ours in _MEASURED.items() if theirs in row}
        for row in history
        if "loss" in row
    ]
