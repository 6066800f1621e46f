"""The residual stream of any Hugging Face causal model: where it is, reading it, changing it.

A decoder layer is found by structure and not by name: it is a member of the outermost list of
modules that has as many members as the configuration has layers. The stream after layer k equals
``hidden_states[k + 1]``, except after the last layer, where ``hidden_states[-1]`` has already gone
through the final norm. Leaves out: attention heads, MLPs and other places inside a layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from whyfirst.config.errors import UserError

if TYPE_CHECKING:
    import torch

Edit = Callable[["torch.Tensor"], "torch.Tensor"]
"""Residual stream (B, T, D) after a layer -> what the next layer gets instead, same shape."""


def decoder_layers(model: Any) -> list[Any]:
    """The layers of a causal model, from the first to the last.

    Args:
        model: a transformers causal language model.

    Raises:
        UserError: an encoder, an encoder-decoder, or a layout without such a list of layers.
    """
    import torch

    name = type(model).__name__
    config = model.config.get_text_config()
    if getattr(model.config, "is_encoder_decoder", False):
        raise UserError(f"{name}: has an encoder and a decoder; probes need a causal decoder")
    count = getattr(config, "num_hidden_layers", None)
    lists = {
        path: module
        for path, module in model.named_modules()
        if isinstance(module, torch.nn.ModuleList) and len(module) > 0
    }
    # Other lists (experts, heads) rarely have the same length, and lie inside a layer where they
    # do.
    found = {path: module for path, module in lists.items() if len(module) == count}
    # A list inside another one's layer is something of that layer (experts, say).
    outer = {
        path: module
        for path, module in found.items()
        if not any(path.startswith(f"{other}.") for other in lists if other != path)
    }
    if len(outer) != 1:
        sizes = ", ".join(f"{path} has {len(module)}" for path, module in lists.items()) or "none"
        raise UserError(
            f"{name}: can't tell which modules are its {count} decoder layers "
            f"(lists of modules: {sizes}); probes need one list with a module a layer"
        )
    layers = list(next(iter(outer.values())))
    _check_causal(model, layers, name)
    return layers


def check_layers(model: Any, numbers: Iterable[int]) -> None:
    """Raise UserError for a layer the model doesn't have."""
    _refuse_numbers(numbers, len(decoder_layers(model)))


def _refuse_numbers(numbers: Iterable[int], count: int) -> None:
    for number in numbers:
        if not 0 <= number < count:
            raise UserError(f"no layer {number}: the model has layers 0 to {count - 1}")


def _check_causal(model: Any, layers: list[Any], name: str) -> None:
    """Raise unless each layer runs once, gives (B, T, D), and no position sees a later token."""
    import torch

    # A vocabulary may have fewer tokens than the probe uses.
    top = model.get_input_embeddings().num_embeddings - 1
    firsts = []
    for last in (min(3, top), min(4, top)):
        ids = torch.tensor([[min(2, top), min(5, top), last]], device=model.device)
        try:
            with torch.no_grad(), _read(layers) as states:
                model(input_ids=ids, use_cache=False)
        except (TypeError, ValueError) as error:
            raise UserError(f"{name}: can't be run on tokens alone: {error}") from error
        if sorted(states) != list(range(len(layers))):
            raise UserError(f"{name}: its modules are not run one after another as layers")
        if any(state.shape[:2] != (1, 3) for state in states.values()):
            raise UserError(f"{name}: its layers don't pass on one vector a token")
        # The first position of two inputs that differ in the last token alone.
        firsts.append(states[len(layers) - 1][0, 0].float())
    # An encoder's first position changes with the last token; a decoder's can't.
    if not torch.allclose(firsts[0], firsts[1], rtol=1e-3, atol=1e-4):
        raise UserError(
            f"{name}: is an encoder (a position sees later tokens); probes need a causal model"
        )


def _stream(output: Any) -> torch.Tensor:
    import torch

    found = output[0] if isinstance(output, tuple) else output
    if not isinstance(found, torch.Tensor):
        raise UserError(f"a decoder layer returned a {type(found).__name__}, not a tensor")
    return found


@contextmanager
def _hooked(layers: Mapping[int, Any], hook: Callable[[int, torch.Tensor], Any]) -> Iterator[None]:
    """Within the context, `hook` sees each layer's stream and may give another in its place."""

    def on(number: int) -> Callable[..., Any]:
        def run(_module: Any, _inputs: Any, output: Any) -> Any:
            changed = hook(number, _stream(output))
            # None leaves the output as it is: torch's own rule for forward hooks.
            if changed is None or not isinstance(output, tuple):
                return changed
            return (changed, *output[1:])

        return run

    handles = [layer.register_forward_hook(on(number)) for number, layer in layers.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _read(layers: list[Any]) -> Iterator[dict[int, torch.Tensor]]:
    states: dict[int, torch.Tensor] = {}

    def keep(number: int, stream: torch.Tensor) -> None:
        states[number] = stream.detach()

    with _hooked(dict(enumerate(layers)), keep):
        yield states


def reading(model: Any) -> AbstractContextManager[dict[int, torch.Tensor]]:
    """Within the context, each forward fills the dictionary: layer -> stream after it (B, T, D).

    Raises:
        UserError: as `decoder_layers`.
    """
    return _read(decoder_layers(model))


@contextmanager
def editing(model: Any, edits: Mapping[int, Edit]) -> Iterator[None]:
    """Within the context, the stream after each named layer is what its edit makes of it.

    Afterwards the model is as it was, whatever happened: nothing but hooks is added, and they go.

    Raises:
        UserError: as `decoder_layers`, or a layer the model doesn't have.
    """
    layers = decoder_layers(model)
    _refuse_numbers(edits, len(layers))
    with _hooked({n: layers[n] for n in edits}, lambda number, stream: edits[number](stream)):
        yield


def adding(vector: torch.Tensor, coefficient: float) -> Edit:
    """Add ``coefficient * vector`` (D,) at every position; 0 changes no bit."""

    def edit(stream: torch.Tensor) -> torch.Tensor:
        return stream + coefficient * vector.to(stream)

    return edit


def ablating(vector: torch.Tensor) -> Edit:
    """Take the component along `vector` (D,) out of every position: h - (h.u)u, u of length 1.

    Source: directional ablation (Arditi et al. 2024, arXiv 2406.11717).
    """
    unit = vector / vector.norm()

    def edit(stream: torch.Tensor) -> torch.Tensor:
        direction = unit.to(stream)
        found: torch.Tensor = stream - (stream @ direction)[..., None] * direction
        return found

    return edit
