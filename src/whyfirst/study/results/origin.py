"""What a study was run on and trained with, as its report and model cards say it.

Leaves out: a licence that the base model's own card doesn't state.
"""

import json
import re
import struct
from math import prod
from pathlib import Path
from typing import Any

from whyfirst.config.files import read_json
from whyfirst.report.parts import StageRow
from whyfirst.study.materials import PretrainedModel, ScratchModel
from whyfirst.study.plan import Plan

# Bytes of a weights file's table of contents: what claims more is no such file.
_MOST_HEADER = 64_000_000
_CARD_BYTES = 65_536
_LICENCE = re.compile(r"^license: *['\"]?([\w.-]+)", re.MULTILINE)


def origin(plan: Plan, base: Path) -> dict[str, str]:
    """`ran`, `base_model` and `licence` of a results' `study`.

    Args:
        base: the folder of the base node.
    """
    model, world = plan.study.model, plan.study.world
    folder = base / "model"
    if (base / "reference.json").is_file():
        folder = Path(str(read_json(base / "reference.json").get("path", "")))
    count = parameters(folder)
    size = f"{count / 1e6:,.2f} million parameters" if count else "parameters that can't be counted"
    if isinstance(model, PretrainedModel):
        name = (model.model if model.endpoint else model.path) or ""
        on_hub = not model.endpoint and not (plan.file.parent / name).exists()
        short = name if on_hub else Path(name).name
        ran = f"{short} ({size})" if count else short
        return {"ran": ran, "base_model": name if on_hub else "", "licence": licence(folder)}
    if isinstance(model, ScratchModel) or world is None:
        return {"ran": f"a model of {size}, begun from random weights"}
    return {"ran": f"a model organism of {size} in an invented world ({world.name})"}


def parameters(folder: Path) -> int:
    """Numbers in the weights of a model's folder, from the files' heads; 0 where there are none."""
    total = 0
    for path in sorted(folder.glob("*.safetensors")) if folder.is_dir() else ():
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > _MOST_HEADER:
                return 0
            table: dict[str, Any] = json.loads(file.read(length))
        total += sum(prod(one["shape"]) for name, one in table.items() if name != "__metadata__")
    return total


def licence(folder: Path) -> str:
    """What the card in a model's folder gives as its licence, or nothing."""
    card = folder / "README.md"
    if not card.is_file():
        return ""
    with card.open(encoding="utf-8", errors="replace") as file:
        head = file.read(_CARD_BYTES)
    found = _LICENCE.search(head.split("\n---", 1)[0])
    return found[1] if found else ""


def stage_rows(plan: Plan) -> dict[str, StageRow]:
    """Every stage of an arm: its kind, its corpus with its source, and the settings given."""
    study = plan.study
    used = dict.fromkeys(name for arm in study.arms.values() for name in arm.stages)
    rows = {}
    for name in used:
        stage = study.stages[name]
        corpus = study.corpora.get(stage.data)  # none: a surgery that reads no rows
        settings = stage.train.model_dump(mode="json", exclude_unset=True)
        kind = settings.pop("kind", stage.train.kind)
        source = corpus.model_dump(mode="json", exclude_none=True) if corpus else {}
        rows[name] = StageRow(kind=kind, corpus=stage.data, source=source, settings=settings)
    return rows
