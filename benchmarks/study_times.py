"""How long the embedded studies take from nothing, what memory they need, how fast a rerun is.

Runs the real command in an empty store: the quick look, the demo, and each again when finished;
`--help` is timed as the best of five. There is no peer to compare with: the limits are the
project's own (demo 480 s and 3 GB, quick look 60 s, a finished study 2 s, `--help` 0.3 s).

    python benchmarks/study_times.py [--quick]
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIMITS_S = {"help": 0.3, "quick": 60.0, "quick again": 2.0, "demo": 480.0, "demo again": 2.0}


def seconds(arguments: list[str]) -> float:
    """Wall time of one command, which must succeed."""
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "whyfirst", *arguments], check=True, stdout=subprocess.DEVNULL
    )
    return time.perf_counter() - start


def main() -> None:
    """Measure, print a table, and last one JSON object."""
    figures = {"help": min(seconds(["--help"]) for _ in range(5))}
    memory: dict[str, float | None] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in ("quick",) if "--quick" in sys.argv else ("quick", "demo"):
            out = Path(folder) / name
            flags = ["--quick"] if name == "quick" else []
            # A store of its own, so that the demo does not find the quick look's stages.
            command = ["demo", *flags, "--store", f"{out}-store", "--out", str(out)]
            figures[name] = seconds(command)
            results = json.loads((out / "report" / "results.json").read_text())
            memory[name] = results["memory_mb_peak"]
            figures[f"{name} again"] = seconds(command)
    for name, value in figures.items():
        peak = memory.get(name)
        print(
            f"{name:12} {value:8.2f} s   limit {LIMITS_S[name]:6.1f} s"
            + (f"   {peak:7.0f} MB of 3000" if peak else "")
        )
    print(json.dumps({"seconds": figures, "memory_mb_peak": memory, "limits_s": LIMITS_S}))


if __name__ == "__main__":
    main()
