"""What a campaign did so far, as JSON lines; a run goes on where the last one stopped.

And what all campaigns' commands share: their options, and the loop over trials that aren't in the
tally yet.
"""

import argparse
import contextlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any


def options(about: str, campaign: str, count: int, counted: str) -> argparse.ArgumentParser:
    """The options of every campaign; `about` is its module's docstring."""
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("--count", type=int, default=count, help=counted)
    parser.add_argument("--seed", type=int, default=1, help="of what is drawn, or of the order")
    parser.add_argument("--folder", type=Path, default=Path(f"campaign-{campaign}"))
    parser.add_argument("--until", default="", help="stop at this time of day, as 23:00")
    return parser


def is_over(until: str) -> bool:
    """Whether it is that time of day; never where none was given."""
    return bool(until) and time.strftime("%H:%M") >= until


class Tally:
    """A file of one JSON object a trial; its number says which were done.

    Args:
        path: made with the first trial.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Every trial so far; a last line that a kill cut off is none."""
        if self.path.exists():
            for line in self.path.read_text().splitlines(keepends=True):
                if line.endswith("\n"):
                    with contextlib.suppress(json.JSONDecodeError):
                        yield json.loads(line)

    def done(self) -> set[Any]:
        """The trials' numbers."""
        return {trial["trial"] for trial in self}

    def add(self, trial: dict[str, Any]) -> None:
        """Note a trial that has ended."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        torn = self.path.exists() and not self.path.read_bytes().endswith(b"\n")
        with self.path.open("a") as file:
            # A cut line would swallow the next one.
            file.write("\n" * torn + json.dumps(trial) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def judge(self, trials: Mapping[str, Callable[[], Iterable[str]]], until: str) -> int:
        """Run the trials that aren't here yet, each giving its problems; 1 where any had some."""
        done, bad = self.done(), sum(bool(trial["problems"]) for trial in self)
        for name, trial in trials.items():
            if name in done:
                continue
            if is_over(until):
                break
            began = time.monotonic()
            problems = list(trial())
            self.add({"trial": name, "problems": problems,
                      "seconds": round(time.monotonic() - began, 2)})  # fmt: skip
            bad += bool(problems)
            if problems:
                print(f"{name}: {' | '.join(problem[-700:] for problem in problems)}", flush=True)
        print(json.dumps({"trials": len(self.done()), "bad": bad}))
        return int(bad > 0)
