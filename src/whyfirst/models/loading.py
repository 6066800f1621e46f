"""A model's files, found, checked and loaded: base weights, tokenizer, LoRA adapter.

Everything that can be wrong with a folder is one `UserError` naming the file and the remedy:
weights that are missing would otherwise be drawn at random, silently. Weights are read from
safetensors only, code of a folder runs only where that is asked for, and attention is computed by
what is installed, whatever a config names. Leaves out: what can be told without loading (`folder`),
and merging (`adapters`).
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from whyfirst.config.errors import UserError
from whyfirst.models import adapters
from whyfirst.models.folder import (
    CONFIG,
    FILES,
    boundary,
    is_folder,
    is_there,
    no_progress_bars,
    reason,
    tokenizer_folder,
)
from whyfirst.models.gguf_file import converted, is_gguf, is_packaged, packaged

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_HALF = (torch.float16, torch.bfloat16)
# What computes attention without a package or a kernel of somebody else's.
_ATTENTION = ("eager", "sdpa", None)


def locate(path: str, revision: str | None, trust_remote_code: bool) -> Path:
    """The folder with the model's files; downloads a Hub id's, and reads a GGUF file once.

    Raises:
        UserError: there is none, it can't be fetched or read, or code of it isn't pinned.
    """
    if is_packaged(path):
        return converted(packaged(path))
    if is_gguf(path):
        if not is_there(path):
            raise UserError(f"{path!r:.200}: no such file")
        return converted(Path(path))
    if is_folder(path):
        if not any((Path(path) / name).is_file() for name in (CONFIG, adapters.ADAPTER)):
            raise UserError(f"{path}: no model there ({CONFIG} is missing)")
        return Path(path)
    if not _HUB_ID.fullmatch(path) or is_there(path):
        raise UserError(
            f"{path!r:.200}: no such folder; give a model folder, a .gguf file or a Hub id like "
            "org/name"
        )
    if trust_remote_code and not _COMMIT.fullmatch(revision or ""):
        raise UserError(
            f"{path}: trust_remote_code runs code from the Hub; pin it with a revision of "
            f"40 hex digits, not {revision!r}"
        )
    from huggingface_hub import snapshot_download

    # Code is not even fetched where it isn't to run.
    patterns = [*FILES, "*.py"] if trust_remote_code else list(FILES)
    try:
        return Path(snapshot_download(path, revision=revision, allow_patterns=patterns))
    except Exception as error:  # the client has a dozen kinds; all mean the same here
        raise UserError(
            f"{path} (revision {revision}): can't be fetched: {reason(error)}"
        ) from error


def locate_adapter(adapter: str) -> Path:
    """The folder of a PEFT adapter; one on the Hub is fetched at its pinned commit.

    Raises:
        UserError: it isn't there, is no adapter, or a Hub id without a commit.
    """
    name, _, commit = adapter.partition("@") if not is_there(adapter) else (adapter, "", "")
    if not is_there(name) and _HUB_ID.fullmatch(name) and not _COMMIT.fullmatch(commit):
        raise UserError(
            f"adapter {name}: is no folder, and on the Hub it may change: pin it as "
            f"{name}@COMMIT (40 hex digits)"
        )
    folder = locate(name, commit or None, False)
    if not (folder / adapters.ADAPTER).is_file():
        raise UserError(f"{adapter}: no adapter there ({adapters.ADAPTER} is missing)")
    return folder


def base_of(folder: Path) -> Path:
    """The folder of the base an adapter names; one on the Hub is fetched at its pinned commit.

    Raises:
        UserError: it names none, one that isn't there, or a Hub id without a commit.
    """
    name, revision = adapters.base_name(folder)
    # What an adapter computes depends on its base, to the last weight.
    if not is_folder(name) and _HUB_ID.fullmatch(name) and not _COMMIT.fullmatch(revision or ""):
        raise UserError(
            f"{folder / adapters.ADAPTER}: the base {name!r} may change on the Hub: write its "
            "commit (40 hex digits) there as `revision`, or give the base as the path with its "
            "revision and this folder as the adapter"
        )
    try:
        return locate(name, revision, False)
    except UserError as error:
        raise UserError(
            f"{folder}: the adapter's base model can't be loaded: {error}; give the base as the "
            "path and this folder as the adapter"
        ) from error


def end_tokens(configured: Any, tokenizer: Any) -> frozenset[int]:
    """Ids that end a text: the tokenizer's, and those of a generation config's `eos_token_id`."""
    found = configured if isinstance(configured, list) else [configured]
    return frozenset(int(t) for t in [*found, tokenizer.eos_token_id] if t is not None)


def open_tokenizer(folders: Sequence[Path], trust_remote_code: bool = False) -> Any:
    """The tokenizer saved with the adapter if there is one, else the base's.

    Args:
        folders: the base's, and the adapter's if there is one.

    Raises:
        UserError: there is none, or it can't be read.
    """
    from transformers import AutoTokenizer

    folder = tokenizer_folder(folders)
    with boundary(folder, "the tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(
            folder, local_files_only=not trust_remote_code, trust_remote_code=trust_remote_code
        )
        # Such a token would be None among the ids, and fail far from here.
        special = zip(tokenizer.all_special_tokens, tokenizer.all_special_ids, strict=True)
        unknown = [token for token, index in special if index is None]
        if unknown:
            raise UserError(f"{folder}: special token {unknown[0]!r:.60} is not in the vocabulary")
    return tokenizer


def open_weights(
    auto: Any, folder: Path, *, inner: bool = False, trust_remote_code: bool = False, **options: Any
) -> Any:
    """A model by one of transformers' Auto classes, whose every tensor comes from the folder.

    Args:
        inner: the output layer may be new (a reward model's), or left over (the language model's).
        options: what `from_pretrained` takes.

    Raises:
        UserError: the files don't make a model, lack or exceed its tensors, or it doesn't fit on
            the device.
    """
    from transformers import GenerationConfig

    with boundary(folder), no_progress_bars():
        model, info = auto.from_pretrained(
            folder,
            use_safetensors=True,
            output_loading_info=True,
            local_files_only=not trust_remote_code,
            trust_remote_code=trust_remote_code,
            **options,
        )
        # Where the disk refuses this file, transformers goes on with one of its own, silently.
        if model.can_generate() and is_there(folder / "generation_config.json"):
            model.generation_config = GenerationConfig.from_pretrained(folder)
    # Names inside the model proper; what lies outside is the output layer.
    beginning = f"{model.base_model_prefix}." if inner else ""
    for key, told in (
        ("missing_keys", "of the model's tensors are in no file there"),
        ("unexpected_keys", "of the tensors in the files there are no part of the model"),
    ):
        names = sorted(name for name in info[key] if name.startswith(beginning))
        if names:
            raise UserError(
                f"{folder}: {len(names)} {told} (e.g. {names[0]}); fetch or save the model again"
            )
    return model


def scorer_class(config: Any) -> Any:
    """What opens a model with one number as output: transformers' Auto class, or one made here.

    transformers has no such class of some language models (Granite's); theirs is put together like
    the others: the model proper and a linear layer.
    """
    from transformers import (
        MODEL_FOR_CAUSAL_LM_MAPPING,
        MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
        AutoModelForSequenceClassification,
        PreTrainedModel,
    )
    from transformers.modeling_layers import GenericForSequenceClassification

    kind = type(config)
    if kind in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING or kind not in MODEL_FOR_CAUSAL_LM_MAPPING:
        return AutoModelForSequenceClassification
    writer = MODEL_FOR_CAUSAL_LM_MAPPING[kind]
    family = next(c for c in writer.__mro__[1:] if issubclass(c, PreTrainedModel))
    name = writer.__name__.removesuffix("ForCausalLM") + "ForSequenceClassification"
    inside = {"base_model_prefix": writer.base_model_prefix}
    return type(name, (GenericForSequenceClassification, family), inside)


def open_config(folder: Path, trust_remote_code: bool = False) -> Any:
    """The config of a causal language model.

    Raises:
        UserError: it can't be read, or is another kind of model's.
    """
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    config = config_of(folder, trust_remote_code)
    with boundary(folder):
        # An encoder loads without a complaint, and a classifier with a random output layer.
        stored = config.architectures or []
        known = set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values())
        own_code = "AutoModelForCausalLM" in (getattr(config, "auto_map", None) or {})
        if stored and not known.intersection(stored) and not own_code:
            raise UserError(
                f"{folder}: {', '.join(stored)} is no causal language model (an encoder, a "
                "classifier or a part of a model); give one with a language model's output layer"
            )
    return config


def config_of(folder: Path, trust_remote_code: bool = False) -> Any:
    """Any model's config; the attention it names is left out where it isn't built in.

    A name may be a repository of kernels, which transformers would fetch and run.

    Raises:
        UserError: it can't be read.
    """
    from transformers import AutoConfig

    with boundary(folder):
        config = AutoConfig.from_pretrained(
            folder, local_files_only=not trust_remote_code, trust_remote_code=trust_remote_code
        )
        for part in (config, *(getattr(config, name, None) for name in config.sub_configs)):
            if getattr(part, "_attn_implementation", None) not in _ATTENTION:
                part._attn_implementation = None
            if getattr(part, "_experts_implementation", None) is not None:
                part._experts_implementation = None
    return config


def dropout_off(config: Any) -> dict[tuple[str, str], float]:
    """Every dropout rate of a config and its parts set to 0; (part, name) -> what it was.

    By name and before a model is built: many (OPT, Bloom, Falcon) call dropout as a function, of
    which there is no module to be found later.
    """
    parts = {"": config} | {name: getattr(config, name, None) for name in config.sub_configs}
    # A rate that no dropout takes stays, so that computing with it tells of the config.
    found = {
        (part, name): value
        for part, held in parts.items()
        if held is not None
        for name, value in vars(held).items()
        if "drop" in name and isinstance(value, float) and 0 < value <= 1
    }
    set_dropout(config, dict.fromkeys(found, 0.0))
    return found


def set_dropout(config: Any, rates: Mapping[tuple[str, str], float]) -> None:
    """Put rates, as `dropout_off` names them, into a config."""
    for (part, name), value in rates.items():
        setattr(getattr(config, part) if part else config, name, value)


def default_dtype(config: Any, device: str) -> Any:
    """bfloat16 where the stored weights have 16 bits and the device computes in it, else as stored.

    A 16-bit file run in float16 can overflow (phi-2's attention does), and 32-bit weights are
    somebody's choice.
    """
    stored = getattr(config.get_text_config(), "dtype", None)
    fast = device.startswith("cuda") and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if fast and stored in _HALF else "auto"
