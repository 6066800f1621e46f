"""Steering: a direction is added to the residual stream while the model answers.

Turner et al. 2023, "Activation Addition", arXiv 2308.10248; as a difference of means over two lists
of texts, Rimsky et al. 2024 (Contrastive Activation Addition), arXiv 2312.06681. Leaves out:
choosing the layer and the coefficient, and directions that depend on the prompt.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whyfirst.config.errors import UserError
from whyfirst.config.files import text_rows
from whyfirst.models.edits import EDITS
from whyfirst.models.hooks import adding, decoder_layers, editing, reading

if TYPE_CHECKING:
    import torch


@EDITS.enter(
    "steer",
    version="2",
    paper="Turner et al. 2023, arXiv 2308.10248; Rimsky et al. 2024, arXiv 2312.06681",
    needs="a direction: a safetensors file, or two files of texts",
    tested="coefficient 0 changes no bit; the stream after the layer moves by the direction",
)
@contextmanager
def steer(
    model: Any,
    *,
    layer: int,
    coefficient: float = 1.0,
    direction: Path | None = None,
    towards: Path | None = None,
    away_from: Path | None = None,
) -> Iterator[None]:
    """Add a direction to the residual stream after one layer, at every position.

    Args:
        layer: from 0; negative counts from the last.
        coefficient: times the direction; below 0 steers the other way.
        direction: a safetensors file with one tensor (D,).
        towards, away_from: JSONL files with `text`; the direction is the mean stream over the last
            tokens of the first, less that of the second.

    Raises:
        UserError: no direction, one of another width, or a layer the model doesn't have.
    """
    count = len(decoder_layers(model.model))
    place = layer + count if layer < 0 else layer
    if not 0 <= place < count:
        raise UserError(f"steer: no layer {layer}: the model has layers 0 to {count - 1}")
    if direction is not None and towards is None and away_from is None:
        from safetensors.torch import load_file

        (vector,) = load_file(direction).values()
    elif direction is None and towards is not None and away_from is not None:
        vector = mean_stream(model, towards, place) - mean_stream(model, away_from, place)
    else:
        raise UserError("steer: give `direction`, or both `towards` and `away_from`")
    width = model.model.config.get_text_config().hidden_size
    if vector.shape != (width,):
        raise UserError(f"steer: the direction is {tuple(vector.shape)}, the model's ({width},)")
    with editing(model.model, {place: adding(vector, coefficient)}):
        yield


def mean_stream(model: Any, file: Path, layer: int) -> "torch.Tensor":
    """Mean over a file's texts of the stream (D,) after `layer` at their last token."""
    import torch

    texts: Sequence[str] = [row["text"] for row in text_rows(file, "text")]
    total = torch.zeros(model.model.config.get_text_config().hidden_size)
    with torch.no_grad(), reading(model.model) as states:
        for text in texts:
            # As prompts are: a tokenizer that appends an end token would have that read.
            ids = torch.tensor([model.encode_prompts([text])[0]])
            model.model(input_ids=ids.to(model.model.device), use_cache=False)
            total += states[layer][0, -1].float().cpu()
    return total / len(texts)
