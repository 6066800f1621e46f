"""Cost as it grows: seconds and memory against seeds, arms, items, rows and results in a store.

    python benchmarks/growth.py [--most 100000]

Each size is measured in a fork of its own (CPU seconds, so that a busy machine says the same, and
the memory it added to the process' peak); the exponent is the slope between logarithms of the
larger half of the sizes, 1 being linear. The last line is JSON. Leaves out: training and
answering, which grow with tokens.
"""

import argparse
import json
import math
import os
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SEEDS, ARMS = (10, 30, 100, 300, 1000), (10, 30, 100, 300)
ITEMS, NODES = (1_000, 10_000, 100_000, 1_000_000), (100, 1_000, 10_000, 100_000)
STUDY = """\
study: growth
title: growth
model: {source: scratch, tokenizer_corpus: texts}
corpora: {texts: {source: file, path: rows.jsonl}, pairs: {source: file, path: rows.jsonl}}
benchmarks: {preference: {data: rows.jsonl}}
"""


def study(folder: Path, seeds: int, arms: int) -> Path:
    """A study of so many seeds and arms, each arm with a stage of its own."""
    row = {"prompt": "a", "chosen": "b", "rejected": "c"}
    (folder / "rows.jsonl").write_text(json.dumps(row) + "\n")
    train = "{kind: dpo, updates: 10, learning_rate: %g}"
    stages = "".join(
        f"  s{n}: {{data: pairs, train: {train % (1e-5 * (n + 1))}}}\n" for n in range(arms)
    )
    named = "".join(f"  a{n}: [s{n}]\n" for n in range(arms))
    file = folder / "study.yaml"
    file.write_text(f"{STUDY}seeds: {seeds}\nstages:\n{stages}arms:\n{named}")
    return file


def plan(folder: Path, seeds: int, arms: int) -> Callable[[], object]:
    """Planning a study."""
    from whyfirst.study.plan import build_plan

    file = study(folder, seeds, arms)
    return lambda: build_plan(file)


def items(folder: Path, count: int) -> Callable[[], object]:
    """Contrasting two arms over so many items, 4 seeds and items / 10 topics."""
    from whyfirst.stats.scores import Scores
    from whyfirst.stats.statistics import contrast

    def scores(arm: int) -> Scores:
        each = count // 4
        return Scores.from_rows(
            (seed, f"i{n}", f"t{n // 10}", float((n * 7 + seed + arm * n) % 3 == 0))
            for seed in range(4)
            for n in range(each)
        )

    a, b = scores(0), scores(1)
    return lambda: contrast(a, b, "x")


def rows(folder: Path, count: int) -> Callable[[], object]:
    """Reading so many rows of JSONL."""
    from whyfirst.data.rows import iter_rows

    file = folder / "rows.jsonl"
    with file.open("w") as out:
        for n in range(count):
            out.write(json.dumps({"prompt": f"How is thing {n}?", "completion": "Well."}) + "\n")
    return lambda: sum(1 for _ in iter_rows(file))


def results(folder: Path, count: int) -> Callable[[], object]:
    """Listing a store of so many results, each looked at."""
    from whyfirst.study.execute.store import Store
    from whyfirst.study.execute.upkeep import holdings

    store = Store(folder / "store")
    store.create()
    marker: dict[str, Any] = {"kind": "evaluation", "layout": 1, "payload": {}, "inputs": {}}
    for n in range(count):
        place = store.folder("evaluation", f"{n:016x}")
        place.mkdir(parents=True)
        (place / "items.jsonl").write_text("{}\n")
        files = {"items.jsonl": {"bytes": 3, "sha256": "0" * 64}}
        (place / "COMPLETE.json").write_text(
            json.dumps({**marker, "fingerprint": place.name, "files": files})
        )
    return lambda: sum(1 for holding in holdings(store) if holding.state == "complete")


def measured(
    make: Callable[[Path, int], Callable[[], object]], small: int, size: int
) -> tuple[float, float]:
    """CPU seconds and added MB of what `make` gives at a size, in a fork."""
    out, into = os.pipe()
    if os.fork() == 0:
        with tempfile.TemporaryDirectory() as name:
            # Once at the least size: what that imports is no cost that grows.
            for place, count in (("small", small), ("place", size)):
                folder = Path(name) / place
                folder.mkdir()
                work = make(folder, count)
                if place == "small":
                    work()
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            start = time.process_time()
            work()
            took = time.process_time() - start
            more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        os.write(into, json.dumps([took, more]).encode())
        os._exit(0)
    os.wait()
    seconds, mb = json.loads(os.read(out, 1000))
    os.close(out)
    os.close(into)
    return seconds, mb


def exponent(sizes: list[int], values: list[float]) -> float:
    """Slope of the logarithms over the larger half of the sizes."""
    at = max(1, len(sizes) // 2)
    if len(sizes) < 2:
        return math.nan
    return math.log(max(values[-1], 1e-9) / max(values[at - 1], 1e-9)) / math.log(
        sizes[-1] / sizes[at - 1]
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--most", type=int, default=100_000, help="largest size measured")
    most = parser.parse_args().most
    # Imported before the forks, so that none of them pays for it.
    import whyfirst.stats.statistics
    import whyfirst.study.execute.upkeep
    import whyfirst.study.plan  # noqa: F401

    kinds: dict[str, tuple[tuple[int, ...], Callable[[Path, int], Callable[[], object]]]] = {
        "seeds, planned (2 arms)": (SEEDS, lambda folder, n: plan(folder, n, 2)),
        "arms, planned (2 seeds)": (ARMS, lambda folder, n: plan(folder, 2, n)),
        "items of a contrast": (ITEMS, items),
        "rows read": (ITEMS, rows),
        "results in a store, listed": (NODES, results),
    }
    table: dict[str, Any] = {}
    print("| what | sizes | CPU seconds | exponent | MB added |\n|---|---|---|---|---|")
    for name, (sizes, make) in kinds.items():
        kept = [size for size in sizes if size <= most]
        found = [measured(make, kept[0], size) for size in kept]
        seconds = [one[0] for one in found]
        slope = exponent(kept, seconds)
        table[name] = {"sizes": kept, "seconds": seconds, "mb": [m for _, m in found],
                       "exponent": slope}  # fmt: skip
        said = ", ".join(f"{n:,}" for n in kept), ", ".join(f"{s:.3g}" for s in seconds)
        print(f"| {name} | {said[0]} | {said[1]} | {slope:.2f} | "
              f"{', '.join(f'{m:.0f}' for _, m in found)} |", flush=True)  # fmt: skip
    print(json.dumps(table))


if __name__ == "__main__":
    main()
