"""What the audits' tests share: running one, and reading what came out."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from whyfirst.evaluate.benchmark import benchmark_named
from whyfirst.evaluate.gaps import Gap
from whyfirst.evaluate.item import ItemResult
from whyfirst.evaluate.scorers import Scorer
from whyfirst.models.scripted import ScriptedModel


def run(
    name: str, model: Any, scorers: Sequence[Scorer] = (), **options: Any
) -> tuple[dict[str, list[ItemResult]], list[Gap]]:
    """(metric -> records, gaps)."""
    declared = benchmark_named(name)
    records = declared.task(**options).run(model, scorers, lambda done, total, what: None)
    found: dict[str, list[ItemResult]] = {}
    for record in records:
        found.setdefault(record.benchmark, []).append(record)
    return found, declared.gaps(records) if declared.gaps else []


def rows(path: Path, *values: Any) -> Path:
    path.write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")
    return path


def mean(records: Sequence[ItemResult], group: str | None = None) -> float:
    return float(np.mean([r.number for r in records if group in (None, r.group)]))


def gap(gaps: Sequence[Gap], a: str, b: str) -> Gap:
    return next(one for one in gaps if one.between == (a, b))


def says(rule: Callable[[str], str]) -> ScriptedModel:
    return ScriptedModel(rule)


def likely(rule: Callable[[str, str], float]) -> ScriptedModel:
    return ScriptedModel(scores=rule)
