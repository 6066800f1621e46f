"""A model as nnsight sees it, with its decoder layers found as the probes find them (extra
`[nnsight]`).

    wrapped, layers = traced_layers(model)
    with wrapped.trace(input_ids=ids):
        stream = layers[3].output.save()

What is saved there is the stream that `hooks.reading` gives for layer 3 (a layer that returns a
tuple gives it first). The probes themselves need no interpretability library. Leaves out: anything
nnsight does on other machines.
"""

from typing import Any

from whyfirst.config.errors import UserError
from whyfirst.models.hooks import decoder_layers


def traced_layers(model: Any) -> tuple[Any, list[Any]]:
    """The wrapped model and the envoy of each decoder layer, from the first to the last.

    Args:
        model: a transformers causal language model (`LocalModel.model`).

    Raises:
        UserError: nnsight isn't installed, or as `decoder_layers`.
    """
    # By identity: module paths differ from one architecture to the next.
    found = {id(layer) for layer in decoder_layers(model)}
    try:
        from nnsight import NNsight
    except ImportError:
        raise UserError("nnsight isn't installed; pip install 'whyfirst[nnsight]'") from None
    wrapped = NNsight(model)
    paths = [path for path, module in model.named_modules() if id(module) in found]
    return wrapped, [wrapped.get(path) for path in paths]
