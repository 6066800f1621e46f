"""What a campaign did so far, as JSON lines; a run goes on where the last one stopped."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


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
