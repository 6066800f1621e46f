"""LoRA adapters: what a folder holds, where its base lies, and the one merger.

    W' = W + (alpha / r) B A                     (Hu et al. 2021, arXiv 2106.09685)

PEFT reads whatever it is given, in silence where it can't: an adapter of other names leaves the
base as it is, one with magnitudes (DoRA) is merged without them, one on a tied output layer changes
the embedding too. So only plain LoRA is taken, by what its config and its file say, and a merger is
accepted once the merged weights give the adapter's logits. Leaves out: every other kind of adapter
(refused by name), and quantised bases.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whyfirst.config.errors import DataError, UserError
from whyfirst.config.files import read_json
from whyfirst.models.folder import boundary, is_folder, reason, tensor_shapes

if TYPE_CHECKING:
    import torch

ADAPTER = "adapter_config.json"
_WEIGHTS = "adapter_model.safetensors"
# What plain LoRA consists of, and what changes nothing of what it computes. `modules_to_save` are
# whole layers beside it (a reward model's output).
_PLAIN = frozenset({
    "alpha_pattern", "auto_mapping", "base_model_name_or_path", "exclude_modules", "fan_in_fan_out",
    "inference_mode", "init_lora_weights", "layers_pattern", "layers_to_transform", "lora_alpha",
    "lora_dropout", "modules_to_save", "peft_type", "peft_version", "qalora_group_size", "r",
    "rank_pattern", "revision", "runtime_config", "target_modules", "task_type", "use_rslora",
    "megatron_core",
})  # fmt: skip
# Ways to draw A and B; all others change the base's weights as well, which the folder lacks.
_STARTS = (True, False, "gaussian", "orthogonal")
_PLACES = 8  # tokens of the text that is computed before and after a merger


def is_adapter(folder: Path) -> bool:
    """Whether the folder holds a PEFT adapter and not whole weights."""
    return (folder / ADAPTER).is_file() and not (folder / "config.json").is_file()


def read_adapter(folder: Path) -> dict[str, Any]:
    """An adapter's config, if it is plain LoRA and its weights are there.

    Raises:
        UserError: it isn't, or they aren't; says by which name.
    """
    config = read_json(folder / ADAPTER)
    if not isinstance(config, dict):
        raise DataError(f"{folder / ADAPTER}: must be an object, {{...}}")
    # Other kinds share some of LoRA's keys, so the name alone isn't enough and the keys aren't
    # either.
    kind = config.get("peft_type")
    odd = []
    for key, value in sorted(config.items()):
        # Options that are off say nothing; a table whose every entry is off is off.
        off = not value or (isinstance(value, dict) and not any(value.values()))
        is_odd = key not in _PLAIN and not off
        if key == "bias":
            is_odd = value != "none"
        elif key == "init_lora_weights":
            is_odd = not any(value is start or value == start for start in _STARTS)
        odd += [f"{key}: {value!r:.60}"] if is_odd else []
    if kind != "LORA" or odd:
        found = f"peft_type: {kind!r:.40}" if kind != "LORA" else ", ".join(odd)
        raise UserError(
            f"{folder / ADAPTER}: {found}: only plain LoRA is merged and trained on here; merge "
            "the adapter with what trained it (merge_and_unload, save_pretrained) and give the "
            "model"
        )
    if not (folder / _WEIGHTS).is_file():
        raise UserError(
            f"{folder}: no {_WEIGHTS} there (a pickle is refused; save the adapter with "
            "safe_serialization)"
        )
    return config


def base_name(folder: Path) -> tuple[str, str | None]:
    """The folder or Hub id of the base an adapter names, and its revision.

    A relative path is looked for beside the adapter first.

    Raises:
        UserError: it names none.
    """
    config = read_json(folder / ADAPTER)
    name = config.get("base_model_name_or_path") if isinstance(config, dict) else None
    if not isinstance(name, str) or not name:
        raise UserError(
            f"{folder / ADAPTER}: names no base_model_name_or_path; give the base model as the "
            "path and this folder as the adapter"
        )
    revision = config.get("revision")
    # An adapter and its base are moved together more often than apart.
    beside = folder / name
    return str(beside) if is_folder(beside) else name, None if revision is None else str(revision)


def open_adapter(
    model: Any, folder: Path, base: Path, *, trained: bool = False, dropout: float | None = None
) -> Any:
    """A `PeftModel` of a base model and an adapter folder.

    Args:
        base: the folder of the base, for messages.
        trained: its weights are to be trained on.
        dropout: in place of the folder's own.

    Raises:
        UserError: the adapter isn't plain LoRA, or not of this base.
    """
    import warnings

    from peft import LoraConfig, PeftModel, get_peft_model_state_dict

    stated = read_adapter(folder)
    pattern = stated.get("rank_pattern")
    # PEFT makes tensors of these sizes before it reads the file.
    ranks = [stated.get("r"), *(pattern.values() if isinstance(pattern, dict) else ())]
    shapes = tensor_shapes(folder / _WEIGHTS)
    stored = set(shapes)
    # A rank above every size in the file is no rank of it, and would be allocated all the same.
    largest = max((max(shape, default=0) for shape in shapes.values()), default=0)
    if any(not isinstance(rank, int) or not 0 < rank <= largest for rank in ranks):
        raise _misfit(folder, base, f"its ranks are {ranks!r:.60}, and no tensor there has those")
    try:
        # By hand, so that the folder stays as it is and training may ask for another dropout.
        config = LoraConfig.from_pretrained(str(folder))
        config.inference_mode = not trained
        if dropout is not None:
            config.lora_dropout = dropout
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tensors that don't match are an error below
            wrapped = PeftModel.from_pretrained(
                model, str(folder), config=config, is_trainable=trained
            )
    except Exception as error:  # PEFT's kinds are many, and what was loaded is of no use
        raise _misfit(folder, base, reason(error)) from error
    # Without the flag peft looks for the base on the Hub; saved embeddings are the base's own.
    placed = set(get_peft_model_state_dict(wrapped, save_embedding_layers=False))
    odd = sorted((placed - stored) | (stored - placed - set(wrapped.state_dict())))
    if odd:
        raise _misfit(folder, base, f"{len(odd)} tensors don't match, e.g. {odd[0]}")
    return wrapped


def _misfit(folder: Path, base: Path, why: str) -> UserError:
    trained_on = read_json(folder / ADAPTER).get("base_model_name_or_path")
    return UserError(
        f"{folder}: the adapter doesn't fit {base}: {why}; it was trained on {trained_on!r}"
    )


def merge(model: Any, what: str | Path) -> Any:
    """The base of a `PeftModel` with the adapter in its weights; the PEFT layers are taken out.

    An output layer tied to the embedding is untied where the adapter changes one of them.

    Args:
        what: the adapter, for messages.

    Raises:
        UserError: as `merged_weights`.
    """
    # Computed while the PEFT layers are still there, which `unload` takes out.
    weights = merged_weights(model, what)
    base = model.base_model.unload()
    with boundary(what, "the merged model"):
        base.load_state_dict(weights, assign=True)
    if tied_apart(base, weights):
        base.config.tie_word_embeddings = False
    else:
        base.tie_weights()
    return base


def merged_weights(model: Any, what: str | Path = "the adapter") -> dict[str, "torch.Tensor"]:
    """The whole weights a `PeftModel` computes with, under the base model's own names.

    Computed beside the model, which `merge_adapter` and back would change by rounding, and
    accepted if they give the model's own logits.

    Raises:
        UserError: they don't, or hold NaN.
    """
    import torch
    from peft.tuners.lora import LoraLayer

    base: Any = model.get_base_model()
    adapted = {
        f"{name}.weight": module
        for name, module in base.named_modules()
        if isinstance(module, LoraLayer)
    }
    merged, changed = {}, {}
    for key, value in base.state_dict().items():
        # The two matrices themselves, and the layers that `modules_to_save` stands in for.
        if ".lora_" in key or ".original_module." in key:
            continue
        # PEFT's names less what it puts between: the base model's own.
        name = key.replace(".base_layer.", ".").replace(".modules_to_save.default.", ".")
        if name in adapted:
            # In float32, rounded once at the end.
            delta = adapted[name].get_delta_weight("default").float()
            value = (value.float() + delta).to(value.dtype)
            if not bool(value.isfinite().all()):
                raise UserError(f"{what}: the adapter can't be merged: {name} would hold NaN")
            changed[adapted[name]] = value
        merged[name] = value
    training = model.training
    model.eval()
    try:
        with _in_its_dtype(model):
            expected = _few_logits(model)
            with _in_place(changed):
                found = _few_logits(model)
    finally:
        model.train(training)
    scale = float(expected.abs().max()) + 1.0
    # A merged weight is rounded once more: in half precision that shows.
    rounding = max((torch.finfo(value.dtype).eps for value in changed.values()), default=0.0)
    gap = float((found - expected).abs().max())
    if not gap <= scale * max(1e-3, 16 * rounding):  # NaN is no smaller than anything
        raise UserError(
            f"{what}: the adapter can't be merged: the merged weights give other logits (by "
            f"{gap:.3g}, of up to {scale:.3g}); merge it with what trained it and give the model"
        )
    return merged


def _few_logits(model: Any) -> "torch.Tensor":
    """Of a short text, without regard to what it says."""
    import torch

    with torch.no_grad():
        ids = torch.arange(_PLACES, device=next(model.parameters()).device)[None]
        return torch.as_tensor(model(input_ids=ids, use_cache=False).logits).float()


def tied_apart(model: Any, weights: dict[str, "torch.Tensor"]) -> bool:
    """Whether weights that the model's config ties are two in `weights`."""
    import torch

    for target, source in getattr(model, "all_tied_weights_keys", {}).items():
        # A tied tensor may be saved under one of its names only: then it is one.
        both = target in weights and source in weights
        if both and not torch.equal(weights[target], weights[source]):
            return True
    return False


@contextmanager
def _in_its_dtype(model: Any) -> Iterator[None]:
    """Inside, a model that accelerate trains in half precision computes in that of its weights.

    Else two ways to the same weights would differ by more than their rounding.
    """
    own = vars(model)
    wrapped = own.get("forward")
    if "_original_forward" in own:
        model.forward = own["_original_forward"]
    try:
        yield
    finally:
        if "_original_forward" in own:
            model.forward = wrapped


@contextmanager
def _in_place(changed: dict[Any, "torch.Tensor"]) -> Iterator[None]:
    """Inside, the adapted layers hold these weights in place of their own, and add nothing.

    As parameters of their own, since a tied layer shares its parameter with another. PEFT's own
    switch would leave out whole layers that are saved beside the adapter as well.
    """
    import torch

    own = [(module, module.get_base_layer().weight, dict(module.scaling)) for module in changed]
    try:
        for module, value in changed.items():
            module.get_base_layer().weight = torch.nn.Parameter(value, requires_grad=False)
            # Scaled by 0, the two small matrices add nothing to the merged weight.
            module.scaling.update(dict.fromkeys(module.scaling, 0.0))
        yield
    finally:
        for module, weight, scaling in own:
            module.get_base_layer().weight = weight
            module.scaling.update(scaling)
