"""What a study asked endpoints for: kept beside each result, and added up.

Leaves out: caps, and what a single model has used (models/spend.py).
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from whyfirst.config.files import read_json
from whyfirst.models.reference import ModelRef
from whyfirst.models.spend import Usage


def usage_of(*asked: tuple[Mapping[str, Any] | None, object]) -> dict[str, dict[str, Any]]:
    """Name -> what it has used, of models that count it.

    Args:
        asked: (a model as a node's payload names it, the model opened); None where there is none.
    """
    found = {}
    for named, model in asked:
        usage = getattr(model, "usage", None)
        if named is not None and isinstance(usage, Usage):
            found[ModelRef(**named).name] = asdict(usage)
    return found


def spent(folders: Iterable[Path]) -> dict[str, str]:
    """Who was asked -> calls, tokens and cost in words, over all results, each once.

    The cost is unpriced where that of one result is.
    """
    total: dict[str, Usage] = {}
    for path in sorted({folder / "machine.json" for folder in folders}):
        about = read_json(path) if path.is_file() else {}
        for name, fields in about.get("spent", {}).items():
            total[name] = _added(total[name], Usage(**fields)) if name in total else Usage(**fields)
    return {name: str(usage) for name, usage in sorted(total.items())}


def _added(one: Usage, other: Usage) -> Usage:
    names = [name for name in asdict(one) if name != "cost"]
    sums = {name: getattr(one, name) + getattr(other, name) for name in names}
    known = one.cost is not None and other.cost is not None
    return replace(one, **sums, cost=(one.cost or 0) + (other.cost or 0) if known else None)
