"""Run one training stage from a model folder and JSONL files to a model folder.

A finished stage is a no-op; a killed one continues from its newest whole checkpoint and ends with
the same bytes as an unbroken run on the same machine's CPU. Leaves out: choosing data and arms
(the study), evaluation.

Written into `out_dir`: `model/` (Hub layout), `kept/step-N/` (the same, for `keep_at`),
`log.jsonl` (step, loss, lr, grad_norm, tokens), `preflight.json`, `stage.json` (last: what was
run and what came out) and `timing.json` (the only file that differs between equal runs).
"""

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from whyfirst.errors import DataError, StoreError
from whyfirst.files import read_json, write_json, write_jsonl
from whyfirst.train import checkpoint, preflight
from whyfirst.train.config import DPOStage, ExplainStage, SFTStage
from whyfirst.train.encode import Encoded, encode
from whyfirst.train.plan import Plan, make_plan

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class StageResult:
    """What a stage did. Token counts leave out padding; passes count a row each time it is seen.

    For dpo a token is one of prompt + response of either side, and `documents` counts pairs.
    """

    kind: str
    updates: int
    documents: int
    replay_documents: int
    tokens_total: int
    tokens_trained: int
    tokens_replay: int
    epochs: float
    first_loss: float
    last_loss: float
    layout: str
    chat_template_sha256: str | None
    seconds: float


def run_stage(
    config: ExplainStage | SFTStage | DPOStage,
    model_dir: Path,
    data: Mapping[str, Path],
    out_dir: Path,
    seed: int,
    progress: Progress = lambda step, total, message: None,
) -> StageResult:
    """Train one stage.

    Args:
        model_dir: local folder in the Hub's layout, with its tokenizer.
        data: name -> JSONL file; "documents" (and "replay") for explain, "demonstrations" for
            sft, "pairs" for dpo. "evaluation" (rows with "prompt") may be added to any: the
            texts trained on are then checked against it.
        out_dir: may hold a killed attempt at the same stage.
        progress: called with (update, updates, message).

    Raises:
        UserError: DataError, ConfigError or PreflightError before training, TrainingStopped during
            it (NaN, wrong DPO reference), StoreError where `out_dir` holds another run.
    """
    model_dir, out_dir = Path(model_dir), Path(out_dir)
    if not (model_dir / "config.json").is_file():
        raise DataError(f"{model_dir}: no model there (config.json is missing)")
    manifest = checkpoint.make_manifest(config, model_dir, data, seed)
    if (finished := _finished(out_dir, manifest)) is not None:
        return finished
    started = time.monotonic()
    tokenizer = load_tokenizer(model_dir)
    encoded = encode(config, tokenizer, data)
    plan = _plan(config, encoded, seed)
    findings = preflight.examine(config, tokenizer, model_dir, encoded, plan, data)
    write_json(out_dir / "preflight.json", [asdict(finding) for finding in findings])
    preflight.refuse(findings)

    history, layout = _train(
        config, tokenizer, model_dir, encoded, plan, out_dir, manifest, seed, progress
    )
    counts = _cumulative(config, encoded, plan)
    log = [_log_row(row, counts) for row in history if "loss" in row]
    result = StageResult(
        **_totals(config, encoded, plan),
        first_loss=log[0]["loss"],
        last_loss=log[-1]["loss"],
        layout=layout,
        chat_template_sha256=preflight.template_sha(tokenizer),
        seconds=time.monotonic() - started,
    )
    _finish(out_dir, manifest, result, log)
    return result


def load_tokenizer(model_dir: Path) -> Any:
    """The folder's fast tokenizer; without a padding token it pads with its end of text."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(
        model_dir, local_files_only=True, trust_remote_code=False
    )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _train(
    config: ExplainStage | SFTStage | DPOStage,
    tokenizer: Any,
    model_dir: Path,
    encoded: Encoded,
    plan: Plan,
    out_dir: Path,
    manifest: Mapping[str, Any],
    seed: int,
    progress: Progress,
) -> tuple[list[dict[str, Any]], str]:
    """Train, save `model/` and return the trainer's log and the layout used."""
    from transformers import set_seed

    from whyfirst.train import adapter

    adapter.quiet_libraries()
    found = checkpoint.newest_complete(out_dir / "checkpoints", manifest)
    model = adapter.load_model(model_dir)
    watch = adapter.Watch(config, tokenizer, out_dir, manifest, progress, found[1] if found else 0)
    # Dropout must not depend on what this process ran before.
    set_seed(seed)
    if isinstance(config, DPOStage):
        trainer, layout = adapter.train_pairs(
            config, model, tokenizer, model_dir, encoded, plan, [watch], out_dir, seed
        )
    else:
        trainer, layout = adapter.train_tokens(
            config, model, tokenizer.pad_token_id, encoded, plan, [watch], watch, out_dir, seed
        )
    trainer.train(resume_from_checkpoint=str(found[0]) if found else None)
    adapter.save_model(model, tokenizer, out_dir / "model")
    return list(trainer.state.log_history), layout


def _plan(config: ExplainStage | SFTStage | DPOStage, encoded: Encoded, seed: int) -> Plan:
    if isinstance(config, DPOStage):
        return make_plan(config, [pair.length for pair in encoded.pairs], [], seed)
    main = [len(e.ids) for e in encoded.examples if e.source != "replay"]
    replay = [len(e.ids) for e in encoded.examples if e.source == "replay"]
    return make_plan(config, main, replay, seed)


def _tokens(config: ExplainStage | SFTStage | DPOStage, encoded: Encoded) -> list[tuple[int, int]]:
    """(all, trained) tokens of each example or pair."""
    if not isinstance(config, DPOStage):
        return [(len(e.ids), e.trained) for e in encoded.examples]
    counts = []
    for pair in encoded.pairs:
        both = [len(pair.prompt) + len(side) for side in (pair.chosen, pair.rejected)]
        seen = [min(n, config.max_length) for n in both]
        counts.append((sum(seen), sum(seen) - 2 * min(len(pair.prompt), config.max_length)))
    return counts


def _cumulative(
    config: ExplainStage | SFTStage | DPOStage, encoded: Encoded, plan: Plan
) -> list[int]:
    """Trained tokens after 0, 1, 2, ... updates."""
    counts, total = _tokens(config, encoded), [0]
    for update in plan.updates:
        total.append(total[-1] + sum(counts[i][1] for row in update for i in row))
    return total


def _totals(
    config: ExplainStage | SFTStage | DPOStage, encoded: Encoded, plan: Plan
) -> dict[str, Any]:
    counts = _tokens(config, encoded)
    seen = [(row, i) for update in plan.updates for row in update for i in row]
    replayed = [i for _, i in seen if encoded.examples and encoded.examples[i].source == "replay"]
    first_replay = len(counts) - len(encoded.rows.get("replay", ()))
    rows = sum(row[0] < first_replay for update in plan.updates for row in update)
    return {
        "kind": config.kind,
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


def _finish(
    out_dir: Path,
    manifest: Mapping[str, Any],
    result: StageResult,
    log: list[dict[str, Any]],
) -> None:
    """Write the records, and `stage.json` last: with it the stage counts as finished."""
    write_jsonl(out_dir / "log.jsonl", log)
    shutil.rmtree(out_dir / "checkpoints", ignore_errors=True)
    record = asdict(result)
    write_json(out_dir / "timing.json", {"seconds": record.pop("seconds")})
    write_json(out_dir / "stage.json", {**record, "manifest": manifest})


def _finished(out_dir: Path, manifest: Mapping[str, Any]) -> StageResult | None:
    """The result of an earlier, finished run of the same stage."""
    if not (out_dir / "stage.json").is_file():
        return None
    stored = read_json(out_dir / "stage.json")
    if stored["manifest"] != manifest:
        parts = ", ".join(checkpoint.differing(stored["manifest"], manifest))
        raise StoreError(
            f"{out_dir}: holds a finished stage that differs in {parts}; give another folder"
        )
    timing = out_dir / "timing.json"
    seconds = read_json(timing)["seconds"] if timing.is_file() else 0.0
    del stored["manifest"]
    return StageResult(**stored, seconds=seconds)
