"""What must be right with a model's folder before any of it is loaded: config, weights, tokenizer.

Light: torch and transformers stay out, so that a plan can look too. A folder may be hostile, or
only broken: its sizes are compared with what its weights hold before a model is built of them, no
pickle is opened, and whatever the libraries raise passes `boundary`. Leaves out: loading
(`loading`), adapters (`adapters`), and what only a whole load can tell (tensors of other names).
"""

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from whyfirst.config.errors import DataError, UserError
from whyfirst.config.files import read_json, sha256_file
from whyfirst.models.limits import limits_of

CONFIG = "config.json"
HEADS = "heads.safetensors"
"""Several output layers, `heads` (D, V, H), beside weights whose own is their mean."""
SCORE = "score.safetensors"
"""What a critic's number is read by, `score` (H,), beside its weights."""
INDEX = "model.safetensors.index.json"
FILES = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja")
"""What a model is made of, code apart; nothing else is fetched."""
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model", "vocab.txt")
_LARGEST = 2**31  # no size of a model is larger; libraries overflow, or allocate
_POSITIONS = 2**27  # some architectures keep a table of them


@contextmanager
def boundary(place: str | Path, what: str = "the model") -> Iterator[None]:
    """Turn whatever a library raises on a broken or hostile file into one `UserError`.

    The libraries have dozens of kinds of error, bare `Exception` and Rust panics among them, and
    every release has others; none says what to do.

    Args:
        place: the file or folder that is being read.
        what: what is being read, for ``PLACE: WHAT can't be loaded: ...``.
    """
    try:
        yield
    except UserError:
        raise
    except BaseException as error:
        # A panic in Rust is no `Exception`, so as not to be caught by accident.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise UserError(
            f"{place}: {what} can't be loaded: {reason(error)}; fetch or save it again"
        ) from error


@contextmanager
def no_progress_bars() -> Iterator[None]:
    """Switch the library's bars off, and back on if they were on."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def is_folder(path: str | Path) -> bool:
    """Whether there is a folder of that name; a text too long, or with a NUL in it, is none."""
    return os.path.isdir(path)  # noqa: PTH112 -- `Path.is_dir` raises for such texts


def is_there(path: str | Path) -> bool:
    """Whether there is a file or a folder of that name, as `is_folder`."""
    return os.path.exists(path)  # noqa: PTH110


def check_weights(folder: Path) -> None:
    """Look at the config and the headers of the weights: what transformers reports badly.

    Raises:
        UserError: no config, no safetensors file, one that is torn, weights that are quantised, or
            sizes that the weights don't have.
    """
    if not (folder / CONFIG).is_file():
        raise UserError(f"{folder}: no model there ({CONFIG} is missing)")
    # Other tools write NaN into configs, which JSON has not.
    config = read_json(folder / CONFIG, nan=True)
    if not isinstance(config, dict):
        raise DataError(f"{folder / CONFIG}: must be an object, {{...}}")
    quantised = config.get("quantization_config")
    if quantised is not None:
        method = quantised.get("quant_method") if isinstance(quantised, dict) else quantised
        raise UserError(
            f"{folder / CONFIG}: quantization_config: the weights are quantised ({method!r:.40}), "
            "and nothing here computes with such; give the model's unquantised weights "
            "(dequantize() and save_pretrained make them)"
        )
    weights = weight_files(folder)
    if not weights:
        raise UserError(
            f"{folder}: the model can't be loaded: no *.safetensors file there (weights in a "
            "pickle are refused; save them with save_pretrained)"
        )
    # A model is built before its weights are read: its config may ask for any amount of memory.
    for key, value in config.items():
        if isinstance(value, int) and value > _LARGEST:
            raise UserError(f"{folder / CONFIG}: {key}: {value:.3g} is no size of a model")
    limits = limits_of(config)
    if (limits.positions or 0) > _POSITIONS:
        raise UserError(f"{folder / CONFIG}: {limits.positions} positions are no model's")
    stored = sum(math.prod(shape) for path in weights for shape in tensor_shapes(path).values())
    if limits.exceed(stored):
        needed = 4 * limits.at_least / 2**30
        raise UserError(
            f"{folder / CONFIG}: describes a model of at least {limits.at_least:.3g} parameters "
            f"({needed:.3g} GiB), and the weights there hold {stored:.3g}; the config is another "
            "model's: fetch or save the model again"
        )


def tensor_shapes(path: Path) -> dict[str, list[int]]:
    """Shape of each tensor of a safetensors file, by its header alone.

    Raises:
        UserError: it can't be read.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:  # numpy needs no torch
            return {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"{path}: not a readable safetensors file ({reason(error)}); fetch or save it again"
        ) from error


def weight_files(folder: Path) -> list[Path]:
    """The files of the whole weights in a folder, an adapter's left out.

    Raises:
        UserError: an index of shards that names a file outside the folder, or one that is missing.
    """
    # transformers takes the one file where both are there.
    if not (folder / INDEX).is_file() or (folder / "model.safetensors").is_file():
        found = sorted(folder.glob("*.safetensors"))
        apart = ("adapter_model", HEADS, SCORE)
        return [path for path in found if not path.name.startswith(apart)]
    index = read_json(folder / INDEX)
    placed = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(placed, dict) or not all(isinstance(at, str) for at in placed.values()):
        raise UserError(f"{folder / INDEX}: weight_map must map each tensor's name to a file's")
    names = sorted(set(placed.values()))
    for name in names:
        # An index may name any path, and what it names is opened.
        if Path(name).name != name or "\0" in name or not name.endswith(".safetensors"):
            raise UserError(
                f"{folder / INDEX}: weight_map: {name!r:.80} is no safetensors file of this folder"
            )
        if not (folder / name).is_file():
            raise UserError(f"{folder / INDEX}: {name} is missing; fetch the model again")
    return [folder / name for name in names]


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file that decides what a model does, by name."""
    files = {path for pattern in (*FILES, "*.py") for path in folder.glob(pattern)}
    return {path.name: sha256_file(path) for path in sorted(files)}


def tokenizer_folder(folders: Sequence[Path]) -> Path:
    """The last of a model's folders (base, adapter) that holds a tokenizer.

    Raises:
        UserError: none does.
    """
    # An adapter may come with tokens that its base lacks.
    for folder in reversed(folders):
        if any((folder / name).is_file() for name in _TOKENIZERS):
            return folder
    raise UserError(
        f"{folders[0]}: no tokenizer there (none of {', '.join(_TOKENIZERS)}); save the "
        "model's tokenizer into the folder with save_pretrained"
    )


def fast_tokenizer(folder: Path) -> Any:
    """The folder's ``tokenizer.json`` as the tokenizers library reads it; None without that file.

    Raises:
        UserError: it can't be read.
    """
    file = folder / "tokenizer.json"
    if not file.is_file():
        return None
    from tokenizers import Tokenizer

    with boundary(folder, "the tokenizer"):
        return Tokenizer.from_file(str(file))


def reason(error: BaseException) -> str:
    """The first line that says something."""
    # Some errors begin with an empty line, and go on for a page.
    lines = [line.strip() for line in str(error).splitlines()]
    said = next((line for line in lines if line), type(error).__name__)
    # Whatever the disk says of a file, safetensors calls it missing.
    _, missing, place = said.partition("No such file or directory: ")
    return f"the disk refuses it: {place}" if missing and Path(place).is_file() else said
