"""Models in and out: whole weights, low-rank adapters on frozen ones, and the Hub's layout.

A stage that starts from an adapter folder says what becomes of it: `adapter: fresh` merges it into
its base first (`start/` in the output folder, so that every reference is that merged model),
`continue` trains it on. Leaves out: quantised bases, and adapters other than LoRA.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

from whyfirst.config.files import read_json, sync, sync_tree, write_json
from whyfirst.models import adapters, chat
from whyfirst.models.adapters import ADAPTER, is_adapter
from whyfirst.models.folder import HEADS, SCORE, boundary, check_weights, weight_files
from whyfirst.models.loading import (
    config_of,
    dropout_off,
    open_config,
    open_tokenizer,
    open_weights,
    scorer_class,
    set_dropout,
)
from whyfirst.train import checkpoint, processes
from whyfirst.train.adapters import base_folder
from whyfirst.train.config_base import LoraConfig, Stage
from whyfirst.train.heads import Heads, Scored, mixed, put_full_precision, unscored
from whyfirst.train.job import Job

START = "start"
"""Folder of the stage's output with the merger of a fresh start from an adapter."""
PAD = "<|pad|>"
"""What a reward model is padded with where its tokenizer has nothing but the end of text."""


@dataclass(frozen=True)
class Start:
    """The model a stage begins with.

    Args:
        model: whole weights, or a `PeftModel` whose adapter is trained on.
        peft: the fresh adapter still to be put on it, or None.
    """

    model: Any
    peft: Any

    def adapted(self) -> Any:
        """The model with its fresh adapter, for trainers that don't add it themselves."""
        if self.peft is None:
            return self.model
        from peft import get_peft_model

        return get_peft_model(self.model, self.peft)


def materialise(job: Job) -> Path:
    """The folder to start from: the job's, or `start` with a fresh adapter's merger."""
    # Whole weights, or an adapter that is trained on, start as they lie there.
    if not (is_adapter(job.model_dir) and job.config.adapter == "fresh"):
        return job.model_dir
    folder, checkpoints = job.out_dir / START, job.out_dir / "checkpoints"
    with processes.main_first():
        # An attempt at another run may have left the merger of another adapter.
        mine = checkpoint.claimed(checkpoints, job.manifest)
        if not (mine and (folder / "config.json").is_file()):
            save_model(load_whole(job.model_dir), load_tokenizer(job.model_dir), folder, None)
            if processes.is_main():
                checkpoint.claim(checkpoints, job.manifest)
    return folder


def load_start(
    config: Stage, model_dir: Path, *, scorer: bool = False, dropout: bool = True
) -> Start:
    """The model to train, from what `materialise` gave; set the random seed first.

    Args:
        scorer: with one number as output in place of a language model's.
        dropout: whether the model keeps its own; an adapter's is the stage's option.
    """
    lora = config.lora
    # Weights that are trained stay in float32; frozen ones may be smaller.
    dtype = torch.float32 if lora is None else getattr(torch, lora.base_dtype)
    if is_adapter(model_dir):
        return Start(_continued(model_dir, dtype, trained=lora, dropout=dropout), None)
    load = load_scorer if scorer else load_model
    model = load(model_dir, dtype, dropout=dropout)
    if lora is None:
        return Start(model, None)
    import peft

    # PEFT takes a list for names, and a word for its own pattern.
    targets = lora.target_modules
    return Start(
        model,
        peft.LoraConfig(
            r=lora.r,
            lora_alpha=lora.alpha,
            lora_dropout=lora.dropout,
            target_modules=targets if isinstance(targets, str) else list(targets),
            task_type="SEQ_CLS" if scorer else "CAUSAL_LM",
        ),
    )


def load_tokenizer(model_dir: Path, chat_template: str | None = None) -> Any:
    """The folder's fast tokenizer; without a padding token it pads with its end of text.

    Args:
        chat_template: the one to write chats with in place of its own (see `chat.choose`).

    Raises:
        UserError: there is none, or it can't be read; no such template.
    """
    tokenizer = open_tokenizer([base_folder(model_dir), model_dir])
    if chat_template is not None:
        # On the tokenizer, which is saved with the model: whoever asks it later asks alike.
        tokenizer.chat_template = chat.choose(tokenizer, chat_template).text
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_model(path: Path, dtype: torch.dtype = torch.float32, *, dropout: bool = True) -> Any:
    """A causal language model from a local folder; no code from the folder is run.

    Args:
        dropout: whether it has its config's; what it was without is saved again all the same.

    Raises:
        UserError: its files are missing or broken, or hold another kind of model.
    """
    check_weights(path)
    return _opened(AutoModelForCausalLM, path, open_config(path), dtype, dropout)


def load_whole(folder: Path) -> Any:
    """`load_model` in float32, of an adapter's folder too: merged into its base.

    Raises:
        UserError: as `load_model`; the adapter is no plain LoRA, or can't be merged.
    """
    if not is_adapter(folder):
        return load_model(folder)
    return adapters.merge(_continued(folder, torch.float32), folder)


def load_scorer(path: Path, dtype: torch.dtype = torch.float32, *, dropout: bool = True) -> Any:
    """The same weights with one number as output: a new last layer, unless they have one.

    Raises:
        UserError: as `load_model`.
    """
    check_weights(path)
    config = config_of(path)
    # Before it is built: the config of a language model says two.
    config.num_labels = 1
    model = _opened(scorer_class(config), path, config, dtype, dropout, inner=True)
    # PEFT trains a copy of this layer and leaves it in the base's dtype, where a step of the usual
    # rate is lost in rounding.
    put_full_precision(model)
    return model


def pad_apart(model: Any, tokenizer: Any) -> None:
    """Give a scorer and its tokenizer a padding token that no text ends in.

    A scorer reads the last token that is not padding: where the end of text pads as well, that
    would be the one before it. A tokenizer with such a token of its own is left as it is.
    """
    if tokenizer.pad_token_id in (tokenizer.eos_token_id, tokenizer.unk_token_id):
        tokenizer.add_special_tokens({"pad_token": PAD})
        # Some embeddings have rows to spare.
        if tokenizer.pad_token_id >= model.get_input_embeddings().num_embeddings:
            model.resize_token_embeddings(tokenizer.pad_token_id + 1, mean_resizing=False)


def _opened(
    auto: Any, path: Path, config: Any, dtype: torch.dtype, dropout: bool, inner: bool = False
) -> Any:
    """The model, once it has computed: some configs load, and only then turn out to be nonsense.

    Raises:
        UserError: it can't be opened, or can't compute.
    """
    rates = {} if dropout else dropout_off(config)
    model = open_weights(auto, path, inner=inner, config=config, dtype=dtype)
    model.dropout_rates = rates
    # As in training, where dropout is computed too, and without a draw that anyone would miss.
    with boundary(path), torch.no_grad(), torch.random.fork_rng(devices=[]):
        model.train()(input_ids=torch.zeros(1, 4, dtype=torch.long), use_cache=False)
    return model.eval()


def not_finite(folder: Path) -> str | None:
    """Which tensor of a folder's files holds NaN or an infinity, in words; None if none does."""
    for file in (*weight_files(folder), folder / "adapter_model.safetensors"):
        if not file.is_file():
            continue
        with safe_open(file, framework="pt") as handle:
            for name in handle.keys():  # noqa: SIM118 -- no mapping
                tensor = handle.get_tensor(name)
                if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
                    return f"{file}: {name} holds NaN or an infinity"
    return None


def _continued(
    folder: Path, dtype: torch.dtype, trained: LoraConfig | None = None, *, dropout: bool = True
) -> Any:
    adapters.read_adapter(folder)
    place = base_folder(folder)
    base = load_model(place, dtype, dropout=dropout)
    rate = None if trained is None else trained.dropout
    return adapters.open_adapter(base, folder, place, trained=trained is not None, dropout=rate)


@contextmanager
def put_in_place(folder: Path) -> Iterator[Path]:
    """A folder to be made beside `folder`, whose name it takes, whole, when the block ends well."""
    temporary = folder.with_name(f".{folder.name}.tmp")
    for stale in (temporary, folder):
        if stale.exists():
            shutil.rmtree(stale)
    yield temporary
    sync_tree(temporary)  # or a power cut could leave the name with empty files
    temporary.rename(folder)
    sync(folder.parent)


@contextmanager
def _own_dropout(model: Any) -> Iterator[None]:
    """The rates of the folder a model came from in its config, where it trains without dropout."""
    rates = getattr(model, "dropout_rates", {})
    set_dropout(model.config, rates)
    yield
    set_dropout(model.config, dict.fromkeys(rates, 0.0))


def save_model(model: Any, tokenizer: Any, folder: Path, lora: LoraConfig | None = None) -> None:
    """Save in the Hub's layout, whole or not at all: written beside and renamed.

    A model with an adapter is saved merged, unless `lora.merge` is off: then the adapter alone,
    naming its base. The model itself stays as it is. Of several processes the main one writes; all
    must call it where the model is spread over them (FSDP).
    """
    # Before the others leave: each holds a part.
    whole = processes.whole_weights(model)
    if not processes.is_main():
        return
    with put_in_place(folder) as temporary, _own_dropout(model):
        # TRL switches the key-value cache off for good; an evaluation of the saved model wants it.
        cached = getattr(model.config, "use_cache", None)
        model.config.use_cache = True
        adapted, head = hasattr(model, "get_base_model"), model.get_output_embeddings()
        if not adapted and isinstance(head, Heads):
            model.save_pretrained(temporary, state_dict=mixed(model, head))
            save_file({"heads": head.weight.detach().contiguous()}, temporary / HEADS)
        elif not adapted and isinstance(head, Scored):
            model.save_pretrained(temporary, state_dict=unscored(model, head))
            save_file({"score": head.score.detach().contiguous()}, temporary / SCORE)
        elif not adapted:
            model.save_pretrained(temporary, **({} if whole is None else {"state_dict": whole}))
        elif lora is not None and not lora.merge:
            model.save_pretrained(temporary, selected_adapters=["default"])
            written = read_json(temporary / ADAPTER)
            base = Path(written["base_model_name_or_path"]).resolve()
            # Beside the adapter where the stage made it, so that the two can be moved together.
            beside = base == folder.parent.resolve() / START
            written["base_model_name_or_path"] = f"../{START}" if beside else str(base)
            # Sets are written in an order that differs between processes.
            written["target_modules"] = sorted(written["target_modules"])
            write_json(temporary / ADAPTER, written)
        else:
            base, merged = model.get_base_model(), adapters.merged_weights(model)
            tied = base.config.tie_word_embeddings
            # Untied where the adapter makes two of one; the model itself stays as it is.
            base.config.tie_word_embeddings = tied and not adapters.tied_apart(base, merged)
            try:
                base.save_pretrained(temporary, state_dict=merged)
            finally:
                base.config.tie_word_embeddings = tied
        model.config.use_cache = cached
        tokenizer.save_pretrained(temporary)
        # TRL's name and model card say nothing that the stage's own record doesn't.
        (temporary / "README.md").unlink(missing_ok=True)
