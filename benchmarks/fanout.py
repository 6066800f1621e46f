"""How much faster a study is on two workers than on one: this machine's processes, and Ray.

    python benchmarks/fanout.py [seeds]

Runs the quick look of the embedded world with several seeds (two by default), each time in an empty
store: one worker and two, one thread each, local and on a Ray cluster of this machine. Wall seconds
of the whole command, Ray's own start (named apart) included. Two workers on two cores can at best
be twice as fast; the longest chain of one seed, and the cores' shared memory, stand against it.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from whyfirst.study.shipped import shipped_study

os.environ["OMP_NUM_THREADS"] = "1"


def main(seeds: int) -> None:
    """Measure, print a table, and last one JSON object."""
    text = shipped_study("hearth-quick").read_text()
    figures: dict[str, float] = {"ray_start": _ray_start()}
    results = set()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "hearth-quick.yaml"
        file.write_text(text.replace("seeds: {default: 1}", f"seeds: {{default: {seeds}}}"))
        for executor in ("local", "ray"):
            for workers in (1, 2):
                name = f"{executor}_{workers}"
                begin = time.perf_counter()
                results.add(_study(file, Path(folder) / name, executor, workers))
                figures[name] = time.perf_counter() - begin
                print(f"{executor:6} {workers} workers {figures[name]:8.1f} s", flush=True)
    speedup = {e: figures[f"{e}_1"] / figures[f"{e}_2"] for e in ("local", "ray")}
    started = figures["ray_start"]
    speedup["ray_without_start"] = (figures["ray_1"] - started) / (figures["ray_2"] - started)
    for name, times in speedup.items():
        print(f"{name:20} {times:5.2f} times faster on two")
    print(
        f"ray's start {started:.1f} s; results: "
        f"{'all equal' if len(results) == 1 else f'{len(results)} that differ'}"
    )
    print(
        json.dumps({
            "seeds": seeds, "seconds": {n: round(v, 2) for n, v in figures.items()},
            "speedup": {n: round(v, 3) for n, v in speedup.items()},
            "equal_results": len(results) == 1,
        })
    )  # fmt: skip


def _study(file: Path, out: Path, executor: str, workers: int) -> str:
    """Run it; its results without timings, as one string."""
    from whyfirst.config.files import read_json
    from whyfirst.report.schema import without_timings

    command = ["study", "run", file, "--store", f"{out}-store", "--out", out, "--executor",
               executor, "--workers", workers]  # fmt: skip
    run = [sys.executable, "-m", "whyfirst", *map(str, command)]
    subprocess.run(run, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    found = without_timings(read_json(out / "report" / "results.json"))
    return json.dumps({name: value for name, value in found.items() if name != "command"})


def _ray_start() -> float:
    """Seconds until a cluster of this machine has answered, and is gone again."""
    code = (
        "import ray; ray.init(address='local', num_cpus=2, include_dashboard=False,"
        " log_to_driver=False); ray.get(ray.remote(lambda: 1).remote()); ray.shutdown()"
    )
    begin = time.perf_counter()
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, capture_output=True)
    return time.perf_counter() - begin


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
