"""What a stage costs beside a plain training loop and beside TRL's own trainer, one thread.

    python benchmarks/training.py [updates] [kind ...]

A Llama of 0.8M parameters (Hearth's size). For each kind the same rows in the same batches through
`run_stage` (hashing, tokenising, preflight, model load and save included), through a plain loop
(padded batches, the model's own loss, the same fused AdamW and clipping, load and save included)
where a page of code says what the kind does, and through TRL's trainer where TRL has one. Figures
are tokens a second of CPU time, those of a stage's `tokens_total` or of its batches, best of two.
A stage that generates makes as many tokens as it likes, so its own are counted in each of the runs.
"""

import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
sys.path.insert(0, str(Path(__file__).parent / "loops"))
WORDS, BATCH, NEW = 1500, 32, 16
SHAPE = {
    "hidden_size": 128, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 352,
    "max_position_embeddings": 256,
}  # fmt: skip

Run = Callable[["Case", Path], float]
"""Trains once and returns the tokens it saw."""


@dataclass(frozen=True)
class Case:
    """A kind's configuration and rows."""

    name: str
    config: Any
    data: str
    rows: list[dict[str, Any]]

    @property
    def is_online(self) -> bool:
        """Whether it generates what it learns from."""
        return self.data == "prompts"


def main(updates: int, chosen: list[str]) -> None:
    """Measure every kind (or the chosen ones) and print one table."""
    import torch
    from plain_loops import PLAIN
    from trl_trainers import TRL
    from word_models import make

    torch.set_num_threads(1)
    from whyfirst.config.files import write_jsonl
    from whyfirst.train import trainer

    trainer.quiet_libraries()
    measured = [case for case in cases(updates) if not chosen or case.name in chosen]
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder / "base", WORDS, **SHAPE)
        print(f"{'tokens/s':16}{'stage':>9}{'plain':>9}{'ratio':>7}{'TRL':>9}{'ratio':>7}")
        for case in measured:
            write_jsonl(folder / f"{case.name}.jsonl", case.rows)
            runs: dict[str, Run | None] = {
                "stage": _stage, "plain": PLAIN.get(case.name), "trl": TRL.get(case.name)
            }  # fmt: skip
            found = {name: max(_speeds(run, case, folder)) for name, run in runs.items() if run}
            figures[case.name] = _row(case.name, found)
        start = {case.name: _start(case, folder) for case in measured if not case.is_online}
    for name, seconds in start.items():
        print(f"{name}, one update in all: {seconds:.2f} s")
    print(json.dumps({"updates": updates, "batch": BATCH, **figures, "one_update_s": start}))


def _start(case: Case, folder: Path) -> float:
    """CPU seconds of a stage of one update: loading, hashing, tokenising, preflight, saving."""
    one = replace(case, config=case.config.model_copy(update={"updates": 1, "min_updates": 1}))
    return min(_seconds(_stage, one, folder)[0] for _ in range(3))


def _seconds(run: Run, case: Case, folder: Path) -> tuple[float, float]:
    """CPU seconds, and the tokens seen."""
    started = time.process_time()
    tokens = run(case, folder)
    return time.process_time() - started, tokens


def _speeds(run: Run, case: Case, folder: Path) -> list[float]:
    """Tokens a second of CPU time, twice; the first call also pays for imports."""
    measured = [_seconds(run, case, folder) for _ in range(2)]
    return [tokens / seconds for seconds, tokens in measured]


def _row(name: str, found: dict[str, float]) -> dict[str, Any]:
    """Print one line and return its figures."""
    row: dict[str, Any] = {f"{key}_tokens_per_s": round(value) for key, value in found.items()}
    line = f"{name:16}{found['stage']:9.0f}"
    for other in ("plain", "trl"):
        if other in found:
            row[f"ratio_{other}"] = round(found["stage"] / found[other], 3)
            line += f"{found[other]:9.0f}{row[f'ratio_{other}']:7.2f}"
        else:
            line += f"{'-':>9}{'-':>7}"
    print(line, flush=True)
    return row


def _stage(case: Case, folder: Path) -> float:
    from whyfirst.train.run import run_stage

    with tempfile.TemporaryDirectory(dir=folder) as out:
        data = {case.data: folder / f"{case.name}.jsonl"}
        return run_stage(case.config, folder / "base", data, Path(out), 0).tokens_total


def cases(updates: int) -> list[Case]:
    """Every kind's options and rows, the same in every process."""
    from whyfirst.train import config as stages

    draw = random.Random(0)

    def text(low: int, high: int) -> str:
        return " ".join(f"w{draw.randrange(3, WORDS)}" for _ in range(draw.randint(low, high)))

    # The space keeps TRL, which tokenises prompt and response together, from joining two words.
    documents = [{"text": text(20, 40)} for _ in range(2000)]
    demos = [{"prompt": text(14, 26) + " ", "completion": text(5, 14)} for _ in range(2000)]
    pairs = [
        {"prompt": text(14, 26) + " ", "chosen": text(5, 14), "rejected": text(5, 14)}
        for _ in range(2000)
    ]
    labelled = [row | {"label": draw.random() < 0.5} for row in demos]
    prompts = [{"prompt": row["prompt"]} for row in demos]
    shared: dict[str, Any] = {"updates": updates, "batch_size": BATCH, "learning_rate": 1e-4}
    # Random weights repeat nothing, so that rewards may be equal: here that is no reason to stop.
    online = shared | {"rewards": ({"name": "repetition"},), "max_new_tokens": NEW}
    online["limits"] = {"flat_updates": None}
    packed = stages.ExplainStage(**shared, packing=True, max_length=64)
    return [
        Case("explain", stages.ExplainStage(**shared), "documents", documents),
        Case("explain_packed", packed, "documents", documents),
        Case("sft", stages.SFTStage(**shared), "demonstrations", demos),
        Case("dpo", stages.DPOStage(**shared), "pairs", pairs),
        Case("kto", stages.KTOStage(**shared), "responses", labelled),
        Case("reward", stages.RewardStage(**shared), "pairs", pairs),
        Case("rloo", stages.RLOOStage(**online), "prompts", prompts),
        Case("grpo", stages.GRPOStage(**online), "prompts", prompts),
        # Of a length at which the rollout is what RL waits for.
        Case("grpo_64", stages.GRPOStage(**online | {"max_new_tokens": 64}), "prompts", prompts),
        Case("ppo", stages.PPOStage(**online, critic="shared"), "prompts", prompts),
    ]


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100, sys.argv[2:])
