"""What must be right with a model's folder before any of it is loaded: weights and tokenizer.

Light: torch and transformers stay out, so that a plan can look too. Leaves out: loading
(`loading`), and what only a whole load can tell (tensors that are missing).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from whyfirst.config.errors import UserError
from whyfirst.config.files import read_json

_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model", "vocab.txt")


def check_weights(folder: Path) -> None:
    """Look at the config and the headers of the weights: what transformers reports badly.

    Raises:
        UserError: no config, no safetensors file, or one that is torn.
    """
    from safetensors import SafetensorError, safe_open

    if not (folder / "config.json").is_file():
        raise UserError(f"{folder}: no model there (config.json is missing)")
    read_json(folder / "config.json")  # names the file if it isn't JSON
    weights = weight_files(folder)
    if not weights:
        raise UserError(
            f"{folder}: the model can't be loaded: no *.safetensors file there (weights in a "
            "pickle are refused; save them with save_pretrained)"
        )
    for path in weights:
        try:
            with safe_open(path, framework="np"):  # only the header; numpy needs no torch
                pass
        except (SafetensorError, OSError) as error:
            raise UserError(
                f"{path}: not a readable safetensors file ({reason(error)}); fetch or save it again"
            ) from error


def weight_files(folder: Path) -> list[Path]:
    """The files of the whole weights in a folder, an adapter's left out."""
    found = sorted(folder.glob("*.safetensors"))
    return [path for path in found if not path.name.startswith("adapter_model")]


def tokenizer_folder(folders: Sequence[Path]) -> Path:
    """The last of a model's folders (base, adapter) that holds a tokenizer.

    Raises:
        UserError: none does.
    """
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

    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:  # the tokenizers library raises bare Exceptions
        raise bad_tokenizer(folder, error) from error


def bad_tokenizer(folder: Path, error: BaseException) -> UserError:
    """The error for a tokenizer that is there and can't be read."""
    return UserError(
        f"{folder}: the tokenizer can't be loaded: {reason(error)}; fetch or save it again"
    )


def reason(error: BaseException) -> str:
    """The first line that says something."""
    lines = [line.strip() for line in str(error).splitlines()]
    return next((line for line in lines if line), type(error).__name__)
