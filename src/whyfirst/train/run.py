"""Run one training stage from a model folder and data files to a model folder.

A finished stage is a no-op; a killed one continues from its newest whole checkpoint and ends with
the same bytes as an unbroken run on the same machine's CPU. Leaves out: choosing data and arms
(the study), evaluation.

Written into `out_dir`: `model/` (Hub layout), `kept/step-N/` (the same, for `keep_at`),
`log.jsonl` (step, loss, lr, grad_norm, tokens, and what the kind measures), `preflight.json`,
`reward.json` (reward: how good the model is on held-out pairs), `seen.json` (where not every row
was trained on: which were), `stage.json` (last: what was run and what came out) and `timing.json`
(the only file that differs between equal runs).
"""

import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from whyfirst.config.errors import DataError, StoreError, TrainingStopped
from whyfirst.config.files import read_json, write_json, write_jsonl
from whyfirst.train import checkpoint, preflight, processes
from whyfirst.train.adapters import base_folder, check_adapter
from whyfirst.train.config_base import Stage
from whyfirst.train.job import Job, Progress
from whyfirst.train.kinds import kind_of
from whyfirst.train.weights import load_tokenizer, not_finite


@dataclass(frozen=True)
class StageResult:
    """What a stage did. Token counts leave out padding; passes count a row each time it is seen.

    On pairs a token is one of prompt + response of either side, and `documents` counts pairs. A
    stage that generates counts each response once: `documents` responses, `tokens_trained` theirs.
    """

    kind: str
    updates: int
    documents: int
    replay_documents: int
    tokens_total: int
    tokens_trained: int
    tokens_replay: int
    epochs: float
    first_loss: float | None
    last_loss: float | None
    layout: str
    chat_template_sha256: str | None
    seconds: float


def run_stage(
    config: Stage,
    model_dir: Path,
    data: Mapping[str, Path],
    out_dir: Path,
    seed: int,
    progress: Progress = lambda step, total, message: None,
) -> StageResult:
    """Train one stage; in several processes where a launcher started several (`launch`).

    Args:
        model_dir: local folder in the Hub's layout, with its tokenizer; or a LoRA adapter's.
        data: what the kind reads (`kinds.data_names`): name -> JSONL file or model folder.
            "evaluation" (rows with "prompt") may be added: the texts trained on are then checked
            against it.
        out_dir: may hold a killed attempt at the same stage.
        progress: called with (update, updates, message).

    Raises:
        UserError: DataError, ConfigError or PreflightError before training, TrainingStopped during
            it (NaN, wrong reference, a reward that fails), StoreError where `out_dir` holds
            another run.
    """
    model_dir, out_dir = Path(model_dir), Path(out_dir)
    if not any((model_dir / name).is_file() for name in ("config.json", "adapter_config.json")):
        raise DataError(f"{model_dir}: no model there (config.json is missing)")
    check_adapter(config, model_dir)
    # Before anything is loaded: a finished stage is told by it in milliseconds.
    manifest = checkpoint.make_manifest(config, model_dir, data, seed)
    if (finished := _finished(out_dir, manifest)) is not None:
        return finished
    started = time.monotonic()
    tokenizer = load_tokenizer(model_dir, config.chat_template)
    job = Job(config, model_dir, data, out_dir, seed, progress, manifest, tokenizer)
    try:
        with job.stopping.listening():
            trained, totals = kind_of(config).train(job)
    except (TrainingStopped, RuntimeError) as error:  # sampling from NaN is torch's RuntimeError
        # Weights that hold NaN train to NaN: say that, and not only where it showed.
        for folder in {base_folder(model_dir): None, model_dir: None}:
            if (found := not_finite(folder)) is not None:
                raise TrainingStopped(
                    f"{config.kind}: the model to train from is broken: {found}; fetch or save it "
                    "again"
                ) from error
        raise
    result = StageResult(
        kind=config.kind,
        **totals,
        # A row before the first update has none.
        first_loss=next((row["loss"] for row in trained.log if "loss" in row), None),
        last_loss=trained.log[-1].get("loss"),
        layout=trained.layout,
        chat_template_sha256=preflight.template_sha(tokenizer),
        seconds=time.monotonic() - started,
    )
    if processes.is_main():
        write_jsonl(out_dir / "log.jsonl", trained.log)
        shutil.rmtree(out_dir / "checkpoints", ignore_errors=True)
        record = asdict(result)
        write_json(out_dir / "timing.json", {"seconds": record.pop("seconds")})
        # Last: with it the stage counts as finished.
        write_json(out_dir / "stage.json", {**record, "manifest": manifest})
    processes.wait()
    return result


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
    # A stage copied without it is finished all the same.
    timing = out_dir / "timing.json"
    seconds = read_json(timing)["seconds"] if timing.is_file() else 0.0
    del stored["manifest"]
    return StageResult(**stored, seconds=seconds)
