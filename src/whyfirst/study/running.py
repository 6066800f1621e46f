"""What a run's folder and store say of the study computed for it, and where its models are.

`run.json` is written before any work, so that a folder without results tells what is still missing.
Places are relative to the folder, which may be moved together with them. Leaves out: how far each
part is (`whyfirst watch`).
"""

import contextlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whyfirst.config.errors import DataError, StoreError, UserError
from whyfirst.config.files import read_json, write_json
from whyfirst.config.room import Use
from whyfirst.study.config import NONE, Overrides
from whyfirst.study.execute.store import Store
from whyfirst.study.execute.upkeep import note_study, shed
from whyfirst.worlds import WORLDS

if TYPE_CHECKING:
    from whyfirst.report.schema import Results
    from whyfirst.study.nodes.within import Answering
    from whyfirst.study.plan import Plan


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


@contextlib.contextmanager
def noted_in_store(plan: "Plan", store: Store) -> Iterator[None]:
    """Inside, the store knows the study as running, and afterwards as one of its users."""
    name = f"{plan.study.study}{plan.overrides.suffix}"
    keys = [node.key for node in plan.nodes]
    store.create()
    note_study(store, name, plan.file, keys, running=True)
    try:
        yield
    finally:
        # Unwritten, the note is of no more use than the process' own end, which others see.
        with contextlib.suppress(StoreError):
            note_study(store, name, plan.file, keys, running=False)


def shed_weights(plan: "Plan", store: Store) -> int:
    """Remove the weights that nothing of a finished study needs any more (`keep: last`).

    Those of each arm's last stage stay: they are what the study made. So do those that a later
    adapter names as its base. Returns the bytes freed.
    """
    lasts = {chain[-1] for chain in plan.stages.values() if chain}
    kept = lasts | {
        name for node in plan.nodes
        if (node.payload.get("train", {}).get("lora") or {}).get("merge") is False
        for name in node.depends
    }  # fmt: skip
    stages = [node for node in plan.nodes if node.kind == "stage"]
    name = f"{plan.study.study}{plan.overrides.suffix}"
    freed = shed(store, [node.key for node in stages if node.id not in kept], name)
    # Of the last stages only the points of a curve go.
    curves = [node.key for node in stages if node.id in lasts]
    return freed + shed(store, curves, name, inside="kept/")


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
        changed = Overrides.recorded(record)
        there = file.is_file()
    # A name may be no name of a file at all (too long, half a character).
    except (AttributeError, KeyError, TypeError, ValueError, OSError) as error:
        raise DataError(f"{path}: not a run's record ({error}); remove it") from error
    return RunPlace(file, store, changed) if there else None


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
    words = f"`whyfirst study run {place.file}{place.overrides.words} --store {place.store}"
    words += f" --out {run}`"
    if not left:
        return f"{run}: every part is complete and the report isn't written; {words} writes it"
    parts = ", ".join(f"{count} of kind {kind}" for kind, count in sorted(left.items()))
    return (
        f"{run}: this run is not finished: {total - sum(left.values())} of {total} parts are "
        f"complete, missing: {parts}. {words} continues it, `whyfirst watch {run}` shows it"
    )


def arm_model(results: "Results", arm: str, seed: int, store: Path) -> Path:
    """The folder of an arm's model after its last stage; of an arm without stages, the base's.

    Raises:
        UserError: no such arm, the arm has no such seed, or the store has no such model.
    """
    from whyfirst.study.nodes.base import model_folder

    return Path(model_folder(_arm_node(results, arm, seed, store)[1]))


def _arm_node(results: "Results", arm: str, seed: int, store: Path) -> tuple[str, Path]:
    """The id and folder of the node with an arm's model."""
    stages = results.arm(arm).stages
    if seed not in results.seeds.get(arm, [seed]) and not results.lone(arm):
        raise UserError(f"--seed: {arm} was trained with seeds {results.seeds[arm]}")
    node = f"seed{seed}/{'>'.join(stages)}" if stages else "base"
    if not stages and node not in results.fingerprints and results.study.world is not None:
        # A drawn world has a base of its own at every seed.
        node = WORLDS.make(Use.model_validate(results.study.world)).at(seed).base_id
    kind = "stage" if stages else "base"
    mark, place = results.fingerprints.get(node), Store(store)
    if mark is None or not place.complete(kind, mark):
        raise UserError(
            f"{store}: no model of arm {arm!r}, seed {seed}; name the run's store with --store"
        )
    return node, place.folder(kind, mark)


def arm_answering(
    results: "Results", arm: str, seed: int, store: Path, decoding: Sequence[Mapping[str, Any]] = ()
) -> "AbstractContextManager[Answering]":
    """An arm's model as the study's benchmarks ask it; inside, the arm's edits are in force.

    With the study's dtype and chat template, within the arm's decoding methods; `decoding` names
    more of them, put round it last. An arm that no benchmark asked answers by its folder alone.

    Raises:
        UserError: see `arm_model`; or the store doesn't have what is put round the arm's model.
    """
    from whyfirst.study.nodes.base import asked_id
    from whyfirst.study.nodes.within import answering_as

    node, folder = _arm_node(results, arm, seed, store)
    about, place = results.arm(arm), Store(store)
    dressed = arm if about.edits or about.decoding else None
    asked = f"{asked_id(node, seed, dressed, results.study.world is not None)}/"
    payload: dict[str, Any] | None = None
    for name, mark in results.fingerprints.items():
        marker = place.marker("evaluation", mark) if name.startswith(asked) else None
        if marker is not None and marker["payload"]["config"].get("step") is None:
            payload = marker["payload"]
            break
    if payload is None and dressed:
        raise UserError(
            f"{store}: no evaluation of arm {arm!r}, seed {seed}, which holds its edits and "
            "decoding, so that it can't be asked as the study did; name the run's store with "
            "--store, or run the study again"
        )
    payload = payload or {"config": {}}
    payload = payload | {"decoding": [*payload.get("decoding", ()), *decoding]}
    if not payload["decoding"]:
        # A judge is only opened for methods that may ask it.
        payload = {k: v for k, v in payload.items() if k not in ("judge_model", "decoding")}
    return answering_as(payload, [folder], folder)
