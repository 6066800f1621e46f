"""Partial state of a stage: which checkpoint is whole, and whose it is.

A checkpoint counts once its `COMPLETE.json` (written last: step, hash of the stage's manifest,
sha256 of every file) is there and every hash agrees. Leaves out: writing the weights themselves
(the trainer does) and state of several machines.
"""

import shutil
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from whyfirst.config.errors import DataError, StoreError
from whyfirst.config.files import read_json, sha256_file, sha256_json, write_json
from whyfirst.config.strict import output_fields
from whyfirst.models.adapters import is_adapter
from whyfirst.train import processes
from whyfirst.train.adapters import base_folder
from whyfirst.train.config_base import Stage
from whyfirst.train.kinds import KINDS, identities

COMPLETE = "COMPLETE.json"
_ATTEMPT = "attempt.json"
_LIBRARIES = ("torch", "transformers", "trl", "tokenizers", "accelerate")


def make_manifest(
    config: Stage,
    model_dir: Path,
    data: Mapping[str, Path],
    seed: int,
) -> dict[str, Any]:
    """Everything the stage's output depends on, as JSON: the identity of a run."""
    # Another release may round otherwise: with it the bytes would be another run's.
    libraries = [*_LIBRARIES]
    if config.lora is not None or is_adapter(model_dir):
        libraries.append("peft")
    manifest = {
        "config": output_fields(config),
        "version": KINDS.get(config.kind).version,
        "model": _hashes(model_dir),
        "data": {
            name: _whole(Path(path)) if Path(path).is_dir() else sha256_file(Path(path))
            for name, path in sorted(data.items())
        },
        "seed": seed,
        "libraries": {name: version(name) for name in libraries},
    }
    if is_adapter(model_dir):
        # An adapter's own files don't change when the base they name does.
        manifest["base"] = _hashes(base_folder(model_dir))
    if config.chat_template is not None and config.chat_template.endswith(".jinja"):
        manifest["chat_template"] = sha256_file(Path(config.chat_template))
    if methods := identities(config):
        manifest["methods"] = methods
    lone = getattr(config, "reference", None)
    named = {
        "reward_models": getattr(config, "uses", ()),
        "references": (*getattr(config, "references", ()), *([lone] if lone else [])),
    }
    for part, models in named.items():
        # By what lies there: a folder may hold another model under the name it had.
        if folders := [Path(use.path) for use in models if use.path]:
            manifest[part] = [_whole(folder) for folder in folders]
    return manifest


def _whole(folder: Path) -> dict[str, str]:
    """`_hashes`, and those of the base under an adapter, whose own files don't tell it."""
    base = _hashes(base_folder(folder)) if is_adapter(folder) else {}
    return _hashes(folder) | {f"base: {name}": sha for name, sha in base.items()}


def _hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a model folder that decides what the model does, by name."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    return {
        path.name: sha256_file(path)
        for path in sorted(folder.iterdir())
        if path.is_file() and path.suffix in (".json", ".safetensors", ".jinja", ".model", ".txt")
    }


def mark_complete(checkpoint: Path, step: int, manifest: Mapping[str, Any]) -> None:
    """Write `COMPLETE.json` over the files of a checkpoint that has just been saved."""
    # A pickle that nothing here ever reads.
    (checkpoint / "training_args.bin").unlink(missing_ok=True)
    files = {
        path.relative_to(checkpoint).as_posix(): sha256_file(path)
        for path in sorted(checkpoint.rglob("*"))
        if path.is_file()
    }
    # Of an earlier attempt at the same step.
    files.pop(COMPLETE, None)
    write_json(
        checkpoint / COMPLETE,
        {"step": step, "manifest_sha256": sha256_json(manifest), "files": files},
    )


def newest_complete(
    folder: Path, manifest: Mapping[str, Any], *, tidy: bool = True
) -> tuple[Path, int] | None:
    """The newest whole checkpoint and its step.

    Args:
        tidy: remove torn ones on the way.

    Raises:
        StoreError: a whole checkpoint of another configuration, data, model or seed is there.
    """

    def step(checkpoint: Path) -> int:
        tail = checkpoint.name.rpartition("-")[2]
        return int(tail) if tail.isdigit() else -1

    for checkpoint in sorted(folder.glob("checkpoint-*"), key=step, reverse=True):
        try:
            marker = read_json(checkpoint / COMPLETE)
            whole = isinstance(marker["step"], int) and all(
                sha256_file(checkpoint / name) == digest for name, digest in marker["files"].items()
            )
        except (DataError, KeyError, TypeError, AttributeError):
            whole = False  # a process was killed while it wrote this one
        if not whole:
            if tidy:
                shutil.rmtree(checkpoint)
        elif marker["manifest_sha256"] != sha256_json(manifest):
            raise StoreError(
                f"{checkpoint}: written by another configuration, data, model, seed or library "
                f"version; give another output folder, or delete {folder} to start this stage anew"
            )
        else:
            return checkpoint, int(marker["step"])
    return None


def claimed(folder: Path, manifest: Mapping[str, Any]) -> bool | None:
    """Whether what lies in `folder` beside checkpoints is this run's; None where nobody says."""
    try:
        return bool(read_json(folder / _ATTEMPT) == {"manifest_sha256": sha256_json(manifest)})
    except DataError:
        return None


def claim(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Say whose partial state, without a marker of its own, lies in `folder` from now on."""
    write_json(folder / _ATTEMPT, {"manifest_sha256": sha256_json(manifest)})


def resume_point(folder: Path, manifest: Mapping[str, Any]) -> tuple[Path, int] | None:
    """`newest_complete`, the same in every process of a stage."""
    with processes.main_first():
        return newest_complete(folder, manifest, tidy=processes.is_main())


def last_good(folder: Path, manifest: Mapping[str, Any]) -> Path | None:
    """The newest whole checkpoint in `folder`, for messages."""
    found = newest_complete(folder, manifest, tidy=False)
    return found[0] if found else None


def differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """Top-level parts (and config fields) in which two manifests differ, for messages."""
    parts = []
    for key in sorted({*a, *b}):
        # One level down is where a person finds it: config.learning_rate, and not config.
        left, right = a.get(key), b.get(key)
        if left == right:
            continue
        if isinstance(left, Mapping) and isinstance(right, Mapping):
            inner = [k for k in sorted({*left, *right}) if left.get(k) != right.get(k)]
            parts += [f"{key}.{name}" for name in inner]
        else:
            parts.append(key)
    return parts
