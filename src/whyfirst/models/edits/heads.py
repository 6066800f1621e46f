"""A mix of a model's output heads while it answers: what MAH-DPO weighs at inference.

Shen et al. 2025, "Simultaneous Multi-objective Alignment Across Verifiable and Non-verifiable
Rewards": logits are sum over d of w_d logits_d with weights that add up to 1. Heads are linear, so
that is one head of the mixed weights, and no slower than the model. Leaves out: weights that change
within an answer.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from whyfirst.config.errors import UserError
from whyfirst.models.edits import EDITS
from whyfirst.models.folder import HEADS


@EDITS.enter(
    "heads",
    paper="Shen et al. 2025, arXiv 2510.01167",
    needs="a model trained with the objective mah_dpo",
    tested="weight 1 on one head gives that head's logits; equal weights change nothing",
)
@contextmanager
def heads(model: Any, *, weights: tuple[float, ...]) -> Iterator[None]:
    """Answer by a weighted mean of the output heads.

    Args:
        weights: of each objective's head, in order; they add up to 1.

    Raises:
        UserError: the model has no heads, or another number of them, or weights of another sum.
    """
    from safetensors.torch import load_file

    file = model.folders[-1] / HEADS
    if not file.is_file():
        raise UserError(f"heads: {file.parent} was not trained with mah_dpo: no {HEADS} there")
    stacked = load_file(file)["heads"]
    if len(weights) != len(stacked) or abs(sum(weights) - 1) > 1e-6:
        raise UserError(
            f"heads: weights {list(weights)}: give {len(stacked)} of them that add up to 1"
        )
    layer = model.model.get_output_embeddings()
    before = layer.weight.data
    mix = stacked.new_tensor(weights)[:, None, None]
    layer.weight.data = (mix * stacked).sum(0).to(before)
    try:
        yield
    finally:
        layer.weight.data = before
