"""What a stage costs in two processes beside a plain loop in two processes, on a machine's cores.

    python benchmarks/two_processes.py [updates] [kind ...]

The model, rows and batches of `training.py`; both sides are started by `accelerate launch`, have a
thread a process and share each batch out (the plain loop with accelerate's own `prepare`: DDP over
gloo). Each runs for so many updates and for a tenth of them, twice, the sides by turns: what one
update takes is the difference of the better times, and the rest is start, checks, loading and
saving. Seconds by the wall's clock, so on a quiet machine. Leaves out: GPUs (`gpu.py`).
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
LOOPS = Path(__file__).parent / "loops"
sys.path.insert(0, str(LOOPS))
KINDS, TIMES = ("explain", "sft"), 2


def main(updates: int, kinds: list[str]) -> None:
    """Measure both sides of every kind and print one table."""
    import training
    from word_models import make

    from whyfirst.config.files import write_jsonl

    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder / "base", training.WORDS, **training.SHAPE)
        print(f"{'milliseconds an update':24}{'stage':>9}{'plain':>9}{'ratio':>7}{'start, s':>14}")
        for case in training.cases(updates):
            if case.name not in (kinds or KINDS):
                continue
            write_jsonl(folder / f"{case.name}.jsonl", case.rows)
            sides, few = {"stage": _stage, "plain": _plain}, max(2, updates // 10)
            took: dict[tuple[str, int], float] = {}
            for _ in range(TIMES):
                for count in (few, updates):
                    for side, run in sides.items():
                        began = time.perf_counter()
                        run(case, folder, count)
                        seconds = time.perf_counter() - began
                        took[side, count] = min(seconds, took.get((side, count), seconds))
            each = {s: (took[s, updates] - took[s, few]) / (updates - few) for s in sides}
            start = {s: took[s, few] - few * each[s] for s in sides}
            ratio = each["plain"] / each["stage"]
            figures[case.name] = {"seconds_an_update": each, "start_s": start, "ratio": ratio}
            print(
                f"{case.name:24}{1000 * each['stage']:9.1f}{1000 * each['plain']:9.1f}{ratio:7.2f}"
                f"{start['stage']:7.1f}{start['plain']:7.1f}",
                flush=True,
            )
    print(json.dumps({"updates": updates, **figures}))


def _stage(case: Any, folder: Path, updates: int) -> None:
    from whyfirst.train.launch import run_launched

    config = case.config.model_copy(update={"updates": updates, "min_updates": 1, "processes": 2})
    with tempfile.TemporaryDirectory(dir=folder) as out:
        data = {case.data: folder / f"{case.name}.jsonl"}
        run_launched(config, folder / "base", data, Path(out), 0, lambda *_: None)


def _plain(case: Any, folder: Path, updates: int) -> None:
    from whyfirst.train.launch import launcher

    script = [str(LOOPS / "plain_parallel.py"), str(folder), case.name, str(updates)]
    start = launcher(case.config.model_copy(update={"processes": 2}))
    subprocess.run([*start, *script], check=True, capture_output=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200, sys.argv[2:])
