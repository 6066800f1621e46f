"""What a run's folder says of the study that is computed for it: `run.json`.

Written before any work, so that a folder without results tells what is still missing. Places are
relative to the folder, which may be moved together with them. Leaves out: how far each part is
(`whyfirst watch`).
"""

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from whyfirst.config.errors import DataError
from whyfirst.config.files import read_json, write_json
from whyfirst.study.execute.store import Store
from whyfirst.study.overrides import NONE, Overrides

RUN_FILE = "run.json"


@dataclass(frozen=True)
class RunPlace:
    """Where a run's study file and store are, and what the command changed in the study."""

    file: Path
    store: Path
    overrides: Overrides = NONE


def note_run(folder: Path, place: RunPlace) -> None:
    """Write a run's `run.json`.

    Raises:
        StoreError: the folder can't be written.
    """
    ways = {name: os.path.relpath(path, folder) for name, path in
            (("study", place.file), ("store", place.store))}  # fmt: skip
    write_json(folder / RUN_FILE, ways | place.overrides.record)


def noted_run(folder: Path) -> RunPlace | None:
    """What `run.json` says; None where there is none, or its study file is gone.

    Raises:
        DataError: it can't be read.
    """
    path = folder / RUN_FILE
    if not path.is_file():
        return None
    record = read_json(path)
    try:
        file, store = (Path(os.path.normpath(folder / record[k])) for k in ("study", "store"))
        limit = record.get("limit")
        changed = Overrides(record.get("model"), None if limit is None else int(limit))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: not a run's record ({error}); remove it") from error
    return RunPlace(file, store, changed) if file.is_file() else None


def missing(place: RunPlace) -> tuple[Counter[str], int]:
    """Parts that aren't complete, by kind, and how many there are in all.

    Raises:
        UserError: the study file can't be read any more.
    """
    from whyfirst.study.plan import build_plan

    plan, store = build_plan(place.file, place.overrides), Store(place.store)
    left = Counter(node.kind for node in plan.nodes if not store.complete(*node.key))
    return left, len(plan.nodes)


def unfinished(run: Path) -> str:
    """Why a run's folder holds no results: what is missing, and what to do."""
    place = noted_run(run)
    if place is None:
        return (
            f"{run}: no report/results.json there; give a finished run's folder, e.g. runs/NAME "
            "(`whyfirst watch RUN` shows a study that is running)"
        )
    left, total = missing(place)
    words = f"{place.file}{place.overrides.words} --store {place.store} --out {run}"
    if not left:
        return (
            f"{run}: every part is complete and the report isn't written; `whyfirst study run "
            f"{words}` writes it"
        )
    parts = ", ".join(f"{count} of kind {kind}" for kind, count in sorted(left.items()))
    return (
        f"{run}: this run is not finished: {total - sum(left.values())} of {total} parts are "
        f"complete, missing: {parts}. `whyfirst study run {words}` continues it, "
        f"`whyfirst watch {run}` shows it"
    )
