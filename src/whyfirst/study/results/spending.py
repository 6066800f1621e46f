"""What a study's evaluations asked endpoints for: kept beside each result, and added up.

Leaves out: caps, and what a single model has used (models/spend.py).
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from whyfirst.config.files import read_json
from whyfirst.models.spend import Usage


def usage_of(models: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Name -> what it has used, for those of the models that count it."""
    found = {name: getattr(model, "usage", None) for name, model in models.items()}
    return {name: asdict(usage) for name, usage in found.items() if isinstance(usage, Usage)}


def spent(folders: Iterable[Path]) -> dict[str, str]:
    """Who was asked -> calls, tokens and cost in words, over all evaluations, each once.

    The cost is unpriced where that of one evaluation is.
    """
    total: dict[str, Usage] = {}
    for folder in sorted(set(folders)):
        for name, fields in read_json(folder / "machine.json").get("spent", {}).items():
            total[name] = _added(total[name], Usage(**fields)) if name in total else Usage(**fields)
    return {name: str(usage) for name, usage in sorted(total.items())}


def _added(one: Usage, other: Usage) -> Usage:
    names = [name for name in asdict(one) if name != "cost"]
    sums = {name: getattr(one, name) + getattr(other, name) for name in names}
    known = one.cost is not None and other.cost is not None
    return replace(one, **sums, cost=(one.cost or 0) + (other.cost or 0) if known else None)
