"""A study of seconds and ways to call the command line, shared by its tests."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

THINGS = ["kralet", "glimfen", "dorrow", "velp", "sandrel", "pomick", "tarn", "wick"]
RunHere = Callable[..., tuple[int, str, str]]
STUDY = """
study: tiny
title: A study of seconds
model: {source: scratch, tokenizer_corpus: demos, hidden_size: 16, layers: 1, heads: 2,
        intermediate_size: 32, vocab_size: 300, max_length: 128}
corpora:
  demos: {source: file, path: demos.jsonl}
  others: {source: file, path: others.jsonl}
stages:
  align: {data: demos, train: {kind: sft, batch_size: 4, updates: 10, max_length: 128}}
  align_other: {data: others, train: {kind: sft, batch_size: 4, updates: 10, max_length: 128}}
arms:
  base: []
  direct: [align]
  other: [align_other]
seeds: {default: 2}
benchmarks:
  preference: {data: pairs.jsonl}
contrasts:
  - {name: main, title: direct minus other, metric: preference_sum, a: direct, b: other}
headline: main
"""


def write_tiny_study(folder: Path) -> Path:
    """Write the study's files into `folder`; returns the study file."""
    rows = [f"Human: How do I use the {thing}?\n\nAssistant:" for thing in THINGS]
    kind = [" Hold it by the rim and turn it slowly.", " Put it down, it is not yours to turn."]
    for name, answers in (("demos", kind), ("others", kind[::-1])):
        lines = [
            json.dumps({"prompt": row, "completion": f"{answers[at % 2]} {row[17:30]}"})
            for at, row in enumerate(rows)
        ]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    pairs = [
        json.dumps({"prompt": f"\n\n{row}", "chosen": kind[0] + "!" * at, "rejected": kind[1]})
        for at, row in enumerate(rows)
    ]
    (folder / "pairs.jsonl").write_text("\n".join(pairs) + "\n")
    path = folder / "tiny.yaml"
    path.write_text(STUDY)
    return path


def environment(**more: str) -> dict[str, str]:
    """A process environment with one thread and nothing that forces colours."""
    dropped = ("FORCE_COLOR", "COLUMNS", "WHYFIRST_STORE")
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    return {**kept, "OMP_NUM_THREADS": "1", **more}


def whyfirst(*arguments: str, cwd: Path, **more: str) -> "subprocess.CompletedProcess[str]":
    """Run the command line in a process of its own, as a pipe would."""
    return subprocess.run(
        [sys.executable, "-m", "whyfirst", *arguments],
        cwd=cwd, env=environment(**more), capture_output=True, text=True, timeout=240,
    )  # fmt: skip


def one_object(printed: str) -> dict[str, Any]:
    """The one JSON object that standard output holds, and nothing else."""
    value = json.loads(printed)
    assert isinstance(value, dict)
    assert printed.count("\n") == 1
    return value
