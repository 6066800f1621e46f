"""What a study asked endpoints for: kept beside each result, and added up.

Leaves out: caps, and what a single model has used (models/spend.py).
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
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
            more, known = Usage(**fields), total.get(name)
            if known is not None:
                parts = [part for part in asdict(more) if part != "cost"]
                sums = {part: getattr(known, part) + getattr(more, part) for part in parts}
                priced = known.cost is not None and more.cost is not None
                cost = (known.cost or 0) + (more.cost or 0) if priced else None
                more = Usage(**sums, cost=cost)
            total[name] = more
    return {name: str(usage) for name, usage in sorted(total.items())}
