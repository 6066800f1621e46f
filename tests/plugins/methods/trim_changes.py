"""A surgery: of what training changed, only the largest changes stay.

The trimming step of Yadav et al. 2023, "TIES-Merging", arXiv 2306.01708: most of what a weight
gained in training can go and the task stays learnt. Leaves out: merging several models, which is
what TIES trims for.
"""

from typing import Annotated, Any

import torch
from pydantic import Field

from whyfirst.models.edits import SURGERIES


@SURGERIES.enter(
    "trim_changes",
    paper="Yadav et al. 2023, arXiv 2306.01708",
    needs="the model that training started from, as reference",
    tested="share 1 is the model, 0 the reference; of four hand-set changes the two largest stay",
)
def trim_changes(
    model: Any, reference: Any, *, share: Annotated[float, Field(ge=0, le=1)] = 0.2
) -> Any:
    """In every weight matrix the largest `share` of changes is kept, the rest is put back."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            start = reference.get_parameter(name).to(weight)
            change = (weight - start).abs().flatten()
            kept = torch.zeros_like(change, dtype=torch.bool)
            kept[change.topk(round(share * change.numel())).indices] = True
            weight.copy_(torch.where(kept.view_as(weight), weight, start))
    return model
