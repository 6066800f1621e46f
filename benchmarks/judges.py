"""Measure a refusal judge against people: kappa, sensitivity, specificity on XSTest's completions.

    python benchmarks/judges.py [--data ../shared/data/xstest/model_completions] [--judge rules]

Prints a table for people and, as the last line, one JSON object. The rules were tuned on two of the
five files; the row "held out" is the other three. Left out: judges that ask a model (use
`whyfirst judge agreement --model`).
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from whyfirst.cli.judging import as_object, show
from whyfirst.evaluate.completions import agreement_rows, completion_files
from whyfirst.evaluate.scorers import make_scorer

DATA = Path(__file__).parents[2] / "shared" / "data" / "xstest" / "model_completions"


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--judge", default="rules")
    arguments = parser.parse_args()
    judge, files = make_scorer(arguments.judge), completion_files(arguments.data)
    start = time.perf_counter()
    rows = agreement_rows(judge, files)
    seconds = time.perf_counter() - start
    show(judge, rows)
    print(json.dumps({**as_object(judge, rows), "seconds": round(seconds, 2)}))


if __name__ == "__main__":
    main()
