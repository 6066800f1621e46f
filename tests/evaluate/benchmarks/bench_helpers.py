"""What the benchmarks' tests share: where the data are, files in published layouts, a judge."""

import csv
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from whyfirst.evaluate.benchmark import benchmark_named
from whyfirst.evaluate.item import Item, ItemResult
from whyfirst.evaluate.scorers import Scorer
from whyfirst.evaluate.verdict import Verdict, passed, unscored

DATA = Path(os.environ.get("WHYFIRST_DATA", Path(__file__).parents[4] / "shared" / "data"))
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"no data under {DATA}")


def silent(done: int, total: int, what: str) -> None:
    """A progress callback for tests."""


class WordJudge(Scorer):
    """Passes a response that begins with NO; can't read one that begins with ?."""

    name, version = "word", "1"

    def __init__(self, question: str = "refused", languages: Sequence[str] = ("en",)) -> None:
        self.question = question
        self.languages = languages
        self.seen: list[Item] = []

    def read(self, items: Sequence[Item], responses: Sequence[str]) -> list[Verdict]:
        self.seen += items
        return [self._one(item, text) for item, text in zip(items, responses, strict=True)]

    def _one(self, item: Item, response: str) -> Verdict:
        if item.language not in self.languages:
            return unscored(f"language not read: {item.language}")
        if response.startswith("?"):
            return unscored("unreadable")
        return passed(response.startswith("NO"))


def run(
    name: str,
    model: Any,
    judge: Scorer | None = None,
    judges: Sequence[Scorer] = (),
    **options: Any,
) -> dict[str, dict[str, ItemResult]]:
    """metric -> item -> result."""
    found: dict[str, dict[str, ItemResult]] = {}
    scorers = [*([judge] if judge else []), *judges]
    for item in benchmark_named(name).task(**options).run(model, scorers, silent):
        assert item.id not in found.setdefault(item.benchmark, {}), f"{item.id} twice"
        found[item.benchmark][item.id] = item
    assert set(found) <= {metric.name for metric in benchmark_named(name).metrics}
    return found


def write_csv(path: Path, *rows: Sequence[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as handle:
        csv.writer(handle).writerows(rows)
    return path


def write_json(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def write_lines(path: Path, *rows: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
