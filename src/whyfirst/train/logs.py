"""log.jsonl, which grows on disk while a stage trains, so that its loss can be watched.

Leaves out: the finished log, which `run` writes anew and whole.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from whyfirst.train import processes

LOG = "log.jsonl"


class GrowingLog:
    """The log of a stage that trains, a flushed row at a time.

    Args:
        folder: the stage's.
    """

    def __init__(self, folder: Path) -> None:
        self._path, self._rows = folder / LOG, 0

    def show(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Bring the file to these rows, which begin with those it was given before.

        The first call replaces what a killed attempt left, whose last rows may come again.
        """
        if not processes.is_main() or len(rows) == self._rows:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a" if self._rows else "w", encoding="utf-8") as file:
            for row in rows[self._rows :]:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
        self._rows = len(rows)


def counted(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of a stage that generates, with the tokens written so far in place of each update's."""
    made, tokens = [], 0
    for row in rows:
        tokens += row.get("response_tokens", 0)
        kept = {k: v for k, v in row.items() if k not in ("prompt_tokens", "response_tokens")}
        made.append(kept | {"tokens": tokens})
    return made
