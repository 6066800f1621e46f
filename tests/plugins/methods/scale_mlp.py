"""Activation scaling: what one layer's MLP adds to the residual stream is made larger or smaller.

Stoehr et al. 2024, "Activation Scaling for Steering and Interpreting Language Models", arXiv
2410.04962. Signed scalars at few places do what added vectors do, and say how much a place counts.
Leaves out: learning the scalars, and places other than the MLP's output.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from whyfirst.config.errors import UserError
from whyfirst.models.edits import EDITS
from whyfirst.models.hooks import decoder_layers


@EDITS.enter(
    "scale_mlp",
    paper="Stoehr et al. 2024, arXiv 2410.04962",
    needs="layers with a module `mlp`",
    tested="factor 1 changes no bit; factor 0 takes out what the MLP adds",
)
@contextmanager
def scale_mlp(model: Any, *, layer: int, factor: float = 1.0) -> Iterator[None]:
    """Multiply what one layer's MLP adds, at every position.

    Args:
        layer: from 0; negative counts from the last.
        factor: 1 leaves it as it is, 0 takes it out, below 0 turns it round.

    Raises:
        UserError: no such layer, or one without an MLP by that name.
    """
    layers = decoder_layers(model.model)
    if not -len(layers) <= layer < len(layers):
        raise UserError(f"scale_mlp: no layer {layer}: the model has {len(layers)}")
    mlp = getattr(layers[layer], "mlp", None)
    if mlp is None:
        raise UserError("scale_mlp: the model's layers have no module `mlp`")
    handle = mlp.register_forward_hook(lambda module, inputs, output: factor * output)
    try:
        yield
    finally:
        handle.remove()
