"""A model's files, found, checked and loaded: base weights, tokenizer, LoRA adapter.

Everything that can be wrong with a folder is one `UserError` naming the file and the remedy:
weights that are missing would otherwise be drawn at random, silently. Weights are read from
safetensors only. Leaves out: quantised weights, and adapters that don't merge into the weights.
"""

import os
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from whyfirst.config.errors import UserError
from whyfirst.config.files import read_json, sha256_file
from whyfirst.models.folder import bad_tokenizer, check_weights, reason, tokenizer_folder
from whyfirst.models.quiet import no_progress_bars

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_FILES = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja")
_ADAPTER = "adapter_config.json"
# What a load raises for files or a device that can't be used; torch without CUDA an AssertionError.
_UNUSABLE = (OSError, ValueError, KeyError, RuntimeError, AssertionError)
_HALF = (torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Loaded:
    """A model in evaluation mode on its device, its tokenizer, and the folders they came from."""

    model: Any
    tokenizer: Any
    folders: tuple[Path, ...]


def load(
    path: str,
    *,
    revision: str | None,
    dtype: str | None,
    device: str,
    device_map: str | None,
    adapter: str | None,
    trust_remote_code: bool,
) -> Loaded:
    """Load what `LocalModel` describes; see there for the arguments.

    A folder that holds an ``adapter_config.json`` is an adapter: the base it names is loaded under
    it, at the revision it names.

    Raises:
        UserError: something is missing, unreadable or doesn't fit; names it and the remedy.
    """
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    folder = locate(path, revision, trust_remote_code)
    folders = [folder]
    if (folder / _ADAPTER).is_file() and not (folder / "config.json").is_file():
        if adapter is not None:
            raise UserError(f"{path}: is an adapter itself; name its base model as the path")
        adapter_folder: Path | None = folder
        folders = [base_of(folder), folder]
    else:
        adapter_folder = None if adapter is None else _locate_adapter(adapter)
        folders += [] if adapter_folder is None else [adapter_folder]
    check_weights(folders[0])
    tokenizer = open_tokenizer(folders, trust_remote_code)
    model = _weights(folders[0], dtype, device, device_map, trust_remote_code)
    if adapter_folder is not None:
        model = _adapted(model, adapter_folder, folders[0])
    if device_map is None:
        model.to(device)
    return Loaded(model.eval().requires_grad_(False), tokenizer, tuple(folders))


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file that decides what a model does, by name."""
    files = {path for pattern in (*_FILES, "*.py") for path in folder.glob(pattern)}
    return {path.name: sha256_file(path) for path in sorted(files)}


def locate(path: str, revision: str | None, trust_remote_code: bool) -> Path:
    """The folder with the model's files; downloads a Hub id's."""
    if Path(path).is_dir():
        if not any((Path(path) / name).is_file() for name in ("config.json", _ADAPTER)):
            raise UserError(f"{path}: no model there (config.json is missing)")
        return Path(path)
    if Path(path).exists() or not _HUB_ID.fullmatch(path):
        raise UserError(f"{path}: no such folder; give a model folder or a Hub id like org/name")
    if trust_remote_code and not _COMMIT.fullmatch(revision or ""):
        raise UserError(
            f"{path}: trust_remote_code runs code from the Hub; pin it with a revision of "
            f"40 hex digits, not {revision!r}"
        )
    from huggingface_hub import snapshot_download

    patterns = [*_FILES, "*.py"] if trust_remote_code else list(_FILES)
    try:
        return Path(snapshot_download(path, revision=revision, allow_patterns=patterns))
    except Exception as error:  # the client has a dozen kinds; all mean the same here
        raise UserError(
            f"{path} (revision {revision}): can't be fetched: {reason(error)}"
        ) from error


def _locate_adapter(adapter: str) -> Path:
    folder = locate(adapter, None, False)
    if not (folder / _ADAPTER).is_file():
        raise UserError(f"{adapter}: no adapter there ({_ADAPTER} is missing)")
    return folder


def end_tokens(configured: Any, tokenizer: Any) -> frozenset[int]:
    """Ids that end a text: the tokenizer's, and those of a generation config's `eos_token_id`."""
    found = configured if isinstance(configured, list) else [configured]
    return frozenset(int(t) for t in [*found, tokenizer.eos_token_id] if t is not None)


def base_of(folder: Path) -> Path:
    """The base an adapter names; a relative path is also looked for beside the adapter."""
    config = read_json(folder / _ADAPTER)
    name = config.get("base_model_name_or_path") if isinstance(config, dict) else None
    if not isinstance(name, str) or not name:
        raise UserError(
            f"{folder / _ADAPTER}: names no base_model_name_or_path; give the base model as the "
            "path and this folder as the adapter"
        )
    beside = folder / name
    try:
        return locate(str(beside) if beside.is_dir() else name, config.get("revision"), False)
    except UserError as error:
        raise UserError(
            f"{folder}: the adapter's base model can't be loaded: {error}; give the base as the "
            "path and this folder as the adapter"
        ) from error


def open_tokenizer(folders: Sequence[Path], trust_remote_code: bool = False) -> Any:
    """The tokenizer saved with the adapter if there is one, else the base's.

    Args:
        folders: the base's, and the adapter's if there is one.

    Raises:
        UserError: there is none, or it can't be read.
    """
    from transformers import AutoTokenizer

    folder = tokenizer_folder(folders)
    try:
        return AutoTokenizer.from_pretrained(
            folder, local_files_only=not trust_remote_code, trust_remote_code=trust_remote_code
        )
    except Exception as error:  # the tokenizers library raises bare Exceptions
        raise bad_tokenizer(folder, error) from error


def open_weights(auto: Any, folder: Path, **options: Any) -> tuple[Any, list[str]]:
    """A model by one of transformers' Auto classes, and the names of tensors that no file holds.

    Args:
        options: what `from_pretrained` takes.

    Raises:
        UserError: the files don't make a model, or it doesn't fit on the device.
    """
    from safetensors import SafetensorError

    try:
        with no_progress_bars():
            model, info = auto.from_pretrained(
                folder, use_safetensors=True, output_loading_info=True, **options
            )
    except (*_UNUSABLE, SafetensorError) as error:
        raise UserError(f"{folder}: the model can't be loaded: {reason(error)}") from error
    return model, sorted(info["missing_keys"])


def refuse_missing(missing: Sequence[str], folder: Path) -> None:
    """Raise `UserError` for tensors that would be drawn at random."""
    if missing:
        raise UserError(
            f"{folder}: {len(missing)} of the model's tensors are in no file there (e.g. "
            f"{missing[0]}); fetch or save the model again"
        )


def _weights(
    folder: Path, dtype: str | None, device: str, device_map: str | None, trust_remote_code: bool
) -> Any:
    from transformers import AutoModelForCausalLM

    config = open_config(folder, trust_remote_code)
    model, missing = open_weights(
        AutoModelForCausalLM,
        folder,
        config=config,
        dtype=dtype or default_dtype(config, device),
        trust_remote_code=trust_remote_code,
        **({} if device_map is None else {"device_map": device_map}),
    )
    refuse_missing(missing, folder)
    return model


def open_config(folder: Path, trust_remote_code: bool = False) -> Any:
    """The config of a causal language model.

    Raises:
        UserError: it can't be read, or is another kind of model's.
    """
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)
    except _UNUSABLE as error:
        raise UserError(f"{folder}: the model can't be loaded: {reason(error)}") from error
    _check_kind(config, folder)
    return config


def _check_kind(config: Any, folder: Path) -> None:
    """An encoder loads without a complaint, and a classifier with a random output layer."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    stored = config.architectures or []
    known = set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values())
    own_code = "AutoModelForCausalLM" in (getattr(config, "auto_map", None) or {})
    if stored and not known.intersection(stored) and not own_code:
        raise UserError(
            f"{folder}: {', '.join(stored)} is no causal language model (an encoder, a classifier "
            "or a part of a model); give one with a language model's output layer"
        )


def default_dtype(config: Any, device: str) -> Any:
    """bfloat16 where the stored weights have 16 bits and the device computes in it, else as stored.

    A 16-bit file run in float16 can overflow (phi-2's attention does), and 32-bit weights are
    somebody's choice.
    """
    stored = getattr(config.get_text_config(), "dtype", None)
    fast = device.startswith("cuda") and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if fast and stored in _HALF else "auto"


def _adapted(model: Any, folder: Path, base: Path) -> Any:
    """The model with the adapter merged into its weights, which costs nothing at run time."""
    from peft import PeftModel, get_peft_model_state_dict
    from safetensors import SafetensorError, safe_open

    file = folder / "adapter_model.safetensors"
    if not file.is_file():
        raise UserError(f"{folder}: no adapter_model.safetensors there (a pickle is refused)")
    try:
        with safe_open(file, framework="pt") as handle:
            stored = set(handle.keys())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tensors that don't match are an error below
            wrapped = PeftModel.from_pretrained(model, str(folder))
    except SafetensorError as error:
        raise UserError(f"{file}: not a readable safetensors file ({reason(error)})") from error
    except (ValueError, RuntimeError, TypeError, KeyError) as error:
        raise _wrong_adapter(folder, base, reason(error)) from error
    # Without the flag peft looks for the base on the Hub; saved embeddings are the base's own.
    placed = set(get_peft_model_state_dict(wrapped, save_embedding_layers=False))
    odd = sorted((placed - stored) | (stored - placed - set(wrapped.state_dict())))
    if odd:
        raise _wrong_adapter(folder, base, f"{len(odd)} tensors don't match, e.g. {odd[0]}")
    if not hasattr(wrapped.base_model, "merge_and_unload"):
        raise UserError(f"{folder}: this kind of adapter doesn't merge into weights; give a LoRA")
    try:
        return wrapped.merge_and_unload(safe_merge=True)
    except ValueError as error:  # NaN in the merged weights
        raise UserError(f"{folder}: the adapter can't be merged: {reason(error)}") from error


def _wrong_adapter(folder: Path, base: Path, reason: str) -> UserError:
    trained_on = read_json(folder / _ADAPTER).get("base_model_name_or_path")
    return UserError(
        f"{folder}: the adapter doesn't fit {base}: {reason}; it was trained on {trained_on!r}"
    )
