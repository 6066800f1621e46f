"""Memory of a study's corpus of many rows through its transforms, in a process of its own.

    python benchmarks/streaming.py [--rows 1000000]

A file of rows goes through the corpus node itself (source `file`, a transform that streams, and
rows.jsonl written); the process' own peak is measured, imports included. The last line is JSON.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

STUDY = """\
study: streamed
title: many rows
model: {source: scratch, tokenizer_corpus: texts}
corpora:
  texts: {source: file, path: rows.jsonl}
  pairs: {source: file, path: rows.jsonl, transforms: [reward_augmented]}
stages: {align: {data: pairs, train: {kind: dpo, updates: 10}}}
arms: {base: [], direct: [align]}
seeds: 1
benchmarks: {preference: {data: asked.jsonl}}
"""


def prepared(folder: Path, rows: int) -> Path:
    """The study's file, with a file of so many pairs beside it."""
    with (folder / "rows.jsonl").open("w") as file:
        for n in range(rows):
            row = {"prompt": f"How is thing {n} held on a rainy day by the river?",
                   "chosen": f"Gently, with both hands, as thing {n} breaks easily when it is wet.",
                   "rejected": f"By its handle, however hard, since thing {n} is of iron.",
                   "score_chosen": 8, "score_rejected": 3}  # fmt: skip
            file.write(json.dumps(row) + "\n")
    (folder / "asked.jsonl").write_text('{"prompt": "a", "chosen": "b", "rejected": "c"}\n')
    (folder / "study.yaml").write_text(STUDY)
    return folder / "study.yaml"


def run(file: Path) -> dict[str, Any]:
    """Run the corpus node of `pairs`; its rows and seconds, and this process' peak in MB."""
    from whyfirst.study.nodes import corpus
    from whyfirst.study.plan import build_plan

    node = build_plan(file).by_id["corpus:pairs"]
    folder = file.parent / "store" / "corpus" / node.fingerprint
    folder.mkdir(parents=True)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    start = time.perf_counter()
    corpus.KIND.run(node.payload, [], folder, lambda done, total, text: None)
    seconds = time.perf_counter() - start
    rows = json.loads((folder / "corpus.json").read_text())["rows"]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"written": rows, "seconds": seconds, "megabytes": peak, "megabytes_before": before}


def main() -> None:
    """Measure in a child process, so that writing the rows is no part of it."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.run is not None:
        print(json.dumps(run(given.run)))
        return
    with tempfile.TemporaryDirectory() as place:
        child = [sys.executable, __file__, "--run", str(prepared(Path(place), given.rows))]
        done = subprocess.run(child, check=True, stdout=subprocess.PIPE, text=True)
    found = {"read": given.rows, **json.loads(done.stdout.splitlines()[-1])}
    print("     read    written  seconds  peak MB  MB before the node ran")
    print(
        f"{given.rows:9d}  {found['written']:9d}  {found['seconds']:7.1f}"
        f"  {found['megabytes']:7.0f}  {found['megabytes_before']:22.0f}"
    )
    print(json.dumps(found))


if __name__ == "__main__":
    main()
