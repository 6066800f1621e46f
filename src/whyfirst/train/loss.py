"""The loss of `explain` and `sft`: mean cross-entropy over the trained tokens of one update.

Formula: L = -(1/N) sum over trained tokens t of log p(t | what stands before it in its example),
N counted over the whole update, so micro-batches don't change it. Logits are computed
only where a trained token is predicted: prompts, tags and padding cost no vocabulary projection.
Leaves out: label smoothing, auxiliary losses of expert mixtures.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from whyfirst.train.collate import lay_out
from whyfirst.train.encode import Example


@dataclass
class Selection:
    """What the hooks of one model hand to the loss for the current forward pass."""

    keep: torch.Tensor | None = None
    total: int = 0
    about: Any = None
    at_head: bool = False

    def logits(self, outputs: torch.Tensor) -> torch.Tensor:
        """Logits (N, V) at the kept positions, from what the model gave."""
        kept = outputs if self.at_head else outputs[self.keep]
        return kept.reshape(-1, kept.shape[-1])


def select_positions(model: Any) -> Selection:
    """Make `model` accept `keep`, `total` and `about`, and compute logits at kept positions only.

    Two forward hooks: one takes these arguments off, one cuts the hidden states before the
    output layer. Scaling and capping that a model applies after that layer still happen.
    """
    selection = Selection()

    def take(_: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        selection.keep, selection.total = kwargs.pop("keep", None), kwargs.pop("total", 0)
        selection.about = kwargs.pop("about", None)
        # A key-value cache would also switch off the mask that keeps packed examples apart.
        return args, {**kwargs, "use_cache": False}

    def cut(_: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return args if selection.keep is None else (args[0][selection.keep], *args[1:])

    model.register_forward_pre_hook(take, with_kwargs=True)
    # Some architectures don't say which layer it is; their logits are cut afterwards.
    head = model.get_output_embeddings()
    if head is not None:
        head.register_forward_pre_hook(cut)
        selection.at_head = True
    return selection


def mean_token_loss(
    selection: Selection, on_bad: Callable[[float], None]
) -> Callable[..., torch.Tensor]:
    """A Trainer `compute_loss_func`.

    Args:
        on_bad: called with the loss when it is not finite; must raise.
    """

    def loss_of(outputs: Any, labels: torch.Tensor, **_: Any) -> torch.Tensor:
        logits = selection.logits(outputs["logits"]).float()
        loss = torch.nn.functional.cross_entropy(logits, labels, reduction="sum")
        # By the tokens of the whole update and not of this pass: parts of an update add up.
        loss = loss / selection.total
        value = float(loss.detach())
        if not math.isfinite(value):
            on_bad(value)
        return loss

    return loss_of


@torch.no_grad()
def packing_is_exact(model: Any, pad_id: int) -> bool:
    """Whether two examples in one line get the logits each gets alone.

    Compared with what happens when they are allowed to see each other: the packed difference must
    be under a tenth of that, whatever the dtype's rounding.
    """
    device = next(model.parameters()).device
    vocabulary = model.get_input_embeddings().weight.shape[0]
    # Any tokens do, if the two examples differ: a leak between them must show.
    first = [(7 * i + 1) % vocabulary for i in range(1, 9)]
    second = [(11 * i + 2) % vocabulary for i in range(1, 9)]
    was_training = model.training
    model.eval()
    try:
        tensors = lay_out([_plain(first), _plain(second)], pad_id, packed=True)
        ids, positions = tensors["input_ids"], tensors["position_ids"]
        assert ids is not None and positions is not None
        ids, positions = ids.to(device), positions.to(device)
        # Two examples must stand in one line, or nothing is compared.
        if ids.shape[0] != 1:
            return False
        packed = model(input_ids=ids, position_ids=positions, use_cache=False).logits[0, 8:16]
        alone = model(input_ids=ids[:, 8:16], use_cache=False).logits[0]
        joint = model(input_ids=ids, use_cache=False).logits[0, 8:16]
    except (TypeError, ValueError, NotImplementedError):
        return False  # the architecture takes no position_ids
    finally:
        model.train(was_training)
    seen = float((joint - alone).abs().max())
    return float((packed - alone).abs().max()) < max(0.1 * seen, 1e-6)


def _plain(ids: list[int]) -> Example:
    return Example(ids, 0, len(ids), "check")
