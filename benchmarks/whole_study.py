"""A whole study beside what a user would write: TRL scripts and lm-eval, one after the other.

    pip install '.[benchmark]'
    python benchmarks/whole_study.py --data DIR      # TruthfulQA.csv, or the folder it lies in

The same model (a Llama of 20M parameters, random weights), arms, seeds, rows, updates and questions
in both: arms `direct`, `explain_first` and `neutral_first`, each a chain of stages, then TruthfulQA
MC1 and MC2 of every model. The user's way is a process for each stage (TRL's SFTTrainer) and for
each evaluation (lm-eval's hf backend), on all threads; whyfirst's is one `study run` from an empty
store to a report. Wall seconds, and the peak of the memory of all
processes together. Leaves out: intervals, pairing and the report, which only one of them makes.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from scoring import prepare

ARMS = {"direct": ["align"], "explain_first": ["explain", "align"],
        "neutral_first": ["neutral", "align"]}  # fmt: skip
UPDATES, BATCH, LENGTH, RATE = 30, 8, 256, 1e-4
HARNESS_BATCH = "32"
STUDY = """study: whole
title: A whole study
model: {{source: pretrained, path: {model}}}
corpora:
  reasons: {{source: file, path: reasons.jsonl}}
  others: {{source: file, path: others.jsonl}}
  demonstrations: {{source: file, path: demonstrations.jsonl}}
stages:
  explain:
    data: reasons
    train: &explain {{kind: explain, updates: {updates}, batch_size: {batch},
      max_length: {length}, learning_rate: {rate}}}
  neutral: {{data: others, train: *explain}}
  align:
    data: demonstrations
    train: {{kind: sft, updates: {updates}, batch_size: {batch}, max_length: {length},
      learning_rate: {rate}}}
arms: {{direct: [align], explain_first: [explain, align], neutral_first: [neutral, align]}}
seeds: {{default: {seeds}}}
benchmarks:
  truthfulqa: {{data: TruthfulQA.csv}}
overlap: {{most: null}}
contrasts:
  - {{name: headline, title: headline, metric: truthfulqa_mc1, a: explain_first, b: direct}}
headline: headline
"""


def main() -> None:
    """Prepare, run both, print a table and one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--step", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        what, model, rows, out = arguments.step
        (train if what == "train" else evaluate)(Path(model), Path(rows), Path(out))
        return
    if arguments.data is None:
        parser.error("--data is needed: TruthfulQA.csv, or the folder it lies in")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        figures = prepare(arguments.data, folder, arguments.questions, 1)
        write_rows(folder)
        figures["user"] = measured(lambda: users_way(folder, arguments.seeds))
        figures["whyfirst"] = measured(lambda: whyfirsts_way(folder, arguments.seeds))
    for key in ("seconds", "peak_mb"):
        figures[f"{key}_ratio"] = round(figures["user"][key] / figures["whyfirst"][key], 2)
        print(f"{key:10}{figures['user'][key]:10.1f}{figures['whyfirst'][key]:10.1f}"
              f"{figures[f'{key}_ratio']:8.2f}x")  # fmt: skip
    print(json.dumps(figures))


def write_rows(folder: Path) -> None:
    """Documents and demonstrations out of the questions' own words, alike in length."""
    rows = [json.loads(line) for line in (folder / "questions.jsonl").read_text().splitlines()]
    words = " ".join(row["question"] for row in rows).split()
    draw = random.Random(5)

    def text(low: int, high: int) -> str:
        return " ".join(draw.choice(words) for _ in range(draw.randint(low, high)))

    count = UPDATES * BATCH
    reasons = [text(30, 60) for _ in range(count)]
    kinds = {
        "reasons": [{"text": one} for one in reasons],
        # The same words in another order: the arms' first stages must be alike in tokens.
        "others": [{"text": " ".join(draw.sample(one.split(), one.count(" ") + 1))}
                   for one in reasons],
        "demonstrations": [{"prompt": text(10, 20) + "\n", "completion": text(10, 30)}
                           for _ in range(count)],
    }  # fmt: skip
    for name, made in kinds.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in made))


def users_way(folder: Path, seeds: int) -> None:
    """Every stage of every arm and seed, then every evaluation, each in a process of its own."""
    data = {"explain": "reasons", "neutral": "others", "align": "demonstrations"}
    for arm, stages in ARMS.items():
        for seed in range(seeds):
            model = folder / "model"
            for stage in stages:
                out = folder / "user" / f"{arm}-{seed}-{stage}"
                step("train", model, folder / f"{data[stage]}.jsonl", out)
                model = out
            step("evaluate", model, folder, folder / "user" / f"{arm}-{seed}.json")


def step(*parts: object) -> None:
    """One process of the user's."""
    command = [sys.executable, __file__, "--step", *map(str, parts)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])


def train(model: Path, rows: Path, out: Path) -> None:
    """What TRL's documentation says to write."""
    import datasets
    from trl import SFTConfig, SFTTrainer

    trainer = SFTTrainer(
        model=str(model),
        args=SFTConfig(
            output_dir=str(out), max_steps=UPDATES, per_device_train_batch_size=BATCH,
            learning_rate=RATE, max_length=LENGTH, lr_scheduler_type="constant", bf16=False,
            gradient_checkpointing=False, use_cpu=True, save_strategy="no", report_to="none",
        ),
        train_dataset=datasets.load_dataset("json", data_files=str(rows), split="train"),
    )  # fmt: skip
    trainer.train()
    trainer.save_model()


def evaluate(model: Path, folder: Path, out: Path) -> None:
    """lm-eval's two tasks on the local file."""
    from scoring import harness_scoring

    place = folder / "step"
    place.mkdir(exist_ok=True)
    for name, target in (("model", model), ("questions.jsonl", folder / "questions.jsonl")):
        (place / name).unlink(missing_ok=True)
        (place / name).symlink_to(target)
    out.write_text(json.dumps(harness_scoring(place, HARNESS_BATCH, None)()["mc1"]))


def whyfirsts_way(folder: Path, seeds: int) -> None:
    """One command."""
    file = folder / "whole.yaml"
    file.write_text(STUDY.format(
        model=folder / "model", updates=UPDATES, batch=BATCH, length=LENGTH, rate=RATE, seeds=seeds
    ))  # fmt: skip
    command = [sys.executable, "-m", "whyfirst", "study", "run", str(file),
               "--store", str(folder / "store"), "--out", str(folder / "out")]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    if done.returncode:
        raise SystemExit((done.stdout + done.stderr)[-2000:])


def measured(run: Any) -> dict[str, float]:
    """Wall seconds, and the peak of what this process's descendants hold together."""
    peak, over = 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not over.wait(0.1):
            peak = max(peak, sum(map(resident, descendants(os.getpid()))))

    watcher = threading.Thread(target=watch)
    watcher.start()
    begun = time.perf_counter()
    try:
        run()
    finally:
        over.set()
        watcher.join()
    return {"seconds": round(time.perf_counter() - begun, 1), "peak_mb": round(peak / 2**20, 1)}


def descendants(process: int) -> list[int]:
    """All processes under one, by the kernel's lists of children."""
    found: list[int] = []
    for children in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            inner = [int(child) for child in children.read_text().split()]
        except OSError:
            continue
        found += [*inner, *(deeper for child in inner for deeper in descendants(child))]
    return found


def resident(process: int) -> int:
    """Bytes a process holds, shared pages divided among those who share them."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(x.split()[1]) * 1024 for x in lines if x.startswith("Pss:")), 0)


if __name__ == "__main__":
    main()
