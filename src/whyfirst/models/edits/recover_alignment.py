"""Alignment recovery: the few weights whose return brings harmful prompts back to their direction.

"Alleviating the Fear of Losing Alignment in LLM Fine-tuning" (2025), arXiv 2504.09757. Of the
fine-tuned weights, those whose return to the aligned model's lowers -cos(mean state on harmful
prompts, the aligned model's) to first order, largest gradients first; where the task suffers, it
starts over and gives part of each step back. Leaves out: layers outside the middle third, norms.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from whyfirst.models.edits import SURGERIES
from whyfirst.models.edits.restoring import Prompts, direction, eligible, largest, misaligned

if TYPE_CHECKING:
    import torch


@SURGERIES.enter(
    "recover_alignment",
    version="2",
    paper="Yang et al. 2025, arXiv 2504.09757",
    needs="rows: prompt and harmful (true or false); those not harmful also completion or chosen",
    tested="a step's first-order change is below 0 elementwise; rate 0 and 1; the task's floor",
)
def recover_alignment(
    model: Any,
    reference: Any,
    *,
    rows: Sequence[Mapping[str, Any]],
    tokenizer: Any,
    rate: float = 0.002,
    steps: int = 20,
    warm_up: int = 5,
    drop: float = 0.05,
    give_back: float = 0.2,
) -> Any:
    """The model with part of its weights put back to the reference's.

    Args:
        rate: most weights of a step, over all weights of the model.
        steps: at most.
        warm_up: steps before the task is looked at; after the last one it always is.
        drop: share of the task's accuracy (tokens of completions) that may be lost.
        give_back: share of a step's weights that go back to the task, once it was lost.
    """
    import torch

    prompts = Prompts(tokenizer, rows)
    places = eligible(model)
    tuned = {name: model.get_parameter(name).detach().clone() for name in places}
    aligned = {name: reference.get_parameter(name).detach().to(w) for name, w in tuned.items()}
    with torch.no_grad():
        harmful = direction(reference, prompts.harmful)
        benign = direction(model, prompts.benign)
    floor = (1 - drop) * prompts.accuracy(model)
    budget = int(rate * sum(weight.numel() for weight in model.parameters()))
    rolls_back, step, summed = False, 0, {name: torch.zeros_like(w) for name, w in tuned.items()}
    while step < steps:
        before = {name: model.get_parameter(name).detach().clone() for name in places}
        for name, slope in misaligned(model, prompts.harmful, harmful, places).items():
            summed[name] += slope
        put = largest(summed, before, aligned, budget)
        _set(model, put, aligned)
        if rolls_back:
            slopes = misaligned(model, prompts.benign, benign, places)
            some = int(give_back * sum(int(mask.sum()) for mask in put.values()))
            # The same rule the other way: from the aligned weight to the task's.
            back = largest(slopes, _weights(model, places), tuned, some, put)
            _set(model, back, tuned)
            summed = {name: torch.where(back[name], 0.0, g) for name, g in summed.items()}
        step += 1
        # The last step is always looked at: fewer steps than the warm-up have a floor as well.
        warming = step < min(warm_up, steps) and not rolls_back
        if warming or prompts.accuracy(model) >= floor:
            continue
        if rolls_back:
            with torch.no_grad():
                for name, weight in before.items():
                    model.get_parameter(name).copy_(weight)
            break
        everywhere = {name: torch.ones_like(w, dtype=torch.bool) for name, w in tuned.items()}
        _set(model, everywhere, tuned)
        rolls_back, step = True, 0
        summed = {name: torch.zeros_like(w) for name, w in tuned.items()}
    return model


def _weights(model: Any, places: Sequence[str]) -> "dict[str, torch.Tensor]":
    return {name: model.get_parameter(name).detach() for name in places}


def _set(model: Any, masks: "Mapping[str, torch.Tensor]", to: "Mapping[str, torch.Tensor]") -> None:
    import torch

    with torch.no_grad():
        for name, mask in masks.items():
            weight = model.get_parameter(name)
            weight.copy_(torch.where(mask, to[name], weight))
