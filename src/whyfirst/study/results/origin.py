"""What a study was run on and trained with: its model, stages, match, warnings, what it asked for.

A stage writes its findings beside its weights; a warning that nobody reads is none. Leaves out: a
licence that the base model's own card doesn't state, and refusing first stages that are unlike
before they train (nodes/checks.py).
"""

import json
import re
import struct
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from math import prod
from pathlib import Path
from typing import Any

from whyfirst.config.bounded import open_file
from whyfirst.config.files import read_json
from whyfirst.models.spend import Usage
from whyfirst.report.parts import StageRow
from whyfirst.report.schema import MatchRow
from whyfirst.study.execute.store import Store
from whyfirst.study.materials import PretrainedModel, ScratchModel
from whyfirst.study.nodes.checks import TOLERANCE, repeats_ahead
from whyfirst.study.nodes.rows_ahead import leaves_out
from whyfirst.study.plan import Plan, first_stages, unused
from whyfirst.study.sources import CORPORA

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
        with open_file(path) as file:
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
    with open_file(card) as file:
        head = file.read(_CARD_BYTES).decode("utf-8", "replace")
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


def match_rows(plan: Plan, folders: Mapping[str, Path]) -> list[MatchRow]:
    """First stages against the first of them; a longer direct arm against the whole of it.

    Each row is of the seed in which the arm is least like the reference.
    """
    study, firsts = plan.study, first_stages(plan.study)
    if not firsts:
        return []
    reference = "explain_first" if "explain_first" in firsts else next(iter(firsts))

    def counts(arm: str, seed: int, stages: int | None) -> tuple[int, int, int]:
        """Documents, tokens (less replay) and updates of an arm's first stage, or of all."""
        read = [read_json(folders[node] / "stage.json") for node in plan.stages[arm, seed][:stages]]
        tokens = sum(int(r["tokens_total"]) - int(r["tokens_replay"]) for r in read)
        return sum(int(r["documents"]) for r in read), tokens, sum(int(r["updates"]) for r in read)

    compared: list[tuple[str, str, int | None]] = [(arm, name, 1) for arm, name in firsts.items()]
    compared += [
        (arm, use.stages[-1], None)
        for arm, use in study.arms.items()
        if arm.endswith("_longer") and use.stages
    ]
    found = []
    for arm, stage, stages in compared:
        by_seed = []
        for seed in study.seeds_of(arm):
            if (reference, seed) not in plan.stages:
                continue
            documents, tokens, updates = counts(arm, seed, stages)
            _, base_tokens, base_updates = counts(reference, seed, stages)
            ratios = tokens / base_tokens, updates / base_updates
            by_seed.append(MatchRow(
                arm=arm, stage=stage, corpus=study.stages[stage].data,
                documents=documents, tokens=tokens, updates=updates,
                ratio_tokens=ratios[0], ratio_updates=ratios[1],
                ok=abs(ratios[0] - 1) <= TOLERANCE and ratios[1] == 1,
            ))  # fmt: skip
        found.append(
            max(by_seed, key=lambda r: (abs(r.ratio_updates - 1), abs(r.ratio_tokens - 1)))
        )
    return found


def cautions(plan: Plan, store: Store, folders: Mapping[str, Path]) -> list[str]:
    """One sentence for each warning of a stage at seed 0, in the order of the arms.

    And one for each corpus that repeats what a benchmark asks, or of which a method left rows out.
    """
    found: dict[str, None] = {}
    if plan.overrides.limit is not None:
        found[
            f"a wiring run: with --limit {plan.overrides.limit} items, rows and updates are cut so "
            "far that the figures say nothing about the study"
        ] = None
    if plan.overrides.changes:
        found[f"run with changes to its file: {', '.join(plan.overrides.changes)}"] = None
    if plan.overrides.model is not None:
        found[f"run with another model than the study file names: {plan.overrides.model}"] = None
    for (arm, seed), nodes in plan.stages.items():
        if seed != 0:
            continue
        for name, node in zip(plan.study.arms[arm].stages, nodes, strict=True):
            # A surgery trains on no rows, so that nothing was looked for in any.
            checked = folders[node] / "preflight.json"
            if not checked.is_file():
                continue
            corpus = plan.study.corpora[plan.study.stages[name].data]
            budgeted = corpus.options.get("tokens") is not None
            sampled = CORPORA.get(corpus.name).facts.get("sampled", False)
            for finding in read_json(checked):
                expected = finding["check"] == "duplicates" and (budgeted or sampled)
                if finding["level"] == "warn" and not expected:
                    found[f"stage {name}: {finding['check']}: {finding['message']}"] = None
    repeated = (count.words for count in repeats_ahead(plan.by_id, store))
    return [*unused(plan), *found, *repeated, *leaves_out(plan.nodes, store)]


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
