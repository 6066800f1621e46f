"""Task arithmetic towards the reference: each weight goes a share of the way back.

Bhardwaj et al. 2024, "Language Models are Homer Simpson! Safety Re-Alignment of Fine-tuned Language
Models through Task Arithmetic" (ReSta), arXiv 2402.11746, whose vector is here the difference to
the aligned model itself. Leaves out: the safety vector of a third, unaligned model, and dropping
parts of it (DARE).
"""

from typing import Any

from whyfirst.models.edits import SURGERIES


@SURGERIES.enter(
    "task_arithmetic",
    paper="Bhardwaj et al. 2024, arXiv 2402.11746",
    needs="an aligned reference",
    tested="rate 0 is the model, 1 the reference, a half the mean",
)
def task_arithmetic(model: Any, reference: Any, *, rate: float = 0.5) -> Any:
    """The model plus `rate` times what the reference differs by.

    Args:
        rate: 0 leaves the model, 1 gives the reference.
    """
    import torch

    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight += rate * (reference.get_parameter(name).to(weight) - weight)
    return model
