"""Several output heads on one trunk: each row's tokens go through the head of its objective.

Leaves out: heads with a bias, adapters, and models spread over several processes.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

from whyfirst.config.errors import ConfigError, DataError
from whyfirst.train.loss import Selection


class Heads(torch.nn.Module):
    """In place of a model's output layer.

    Attributes:
        weight: of D heads, shape (D, V, H).
        selection: tells which row a kept position belongs to, and so whose head.
    """

    def __init__(self, head: Any, count: int, noise: float, seed: int) -> None:
        super().__init__()
        if getattr(head, "bias", None) is not None:
            raise ConfigError("mah_dpo: the model's output layer has a bias; heads have none")
        draw = torch.Generator().manual_seed(seed)
        own = head.weight.detach()
        apart = torch.randn(count, *own.shape, generator=draw).to(own) * noise
        self.weight = torch.nn.Parameter(own + apart)
        self.selection: Selection | None = None

    def forward(self, hidden: Tensor) -> Tensor:
        """Logits (N, V) of the kept positions' states (N, H); the mean head's before training."""
        about = None if self.selection is None else self.selection.about
        if about is None:
            return linear(hidden, self.weight.mean(0))
        _, responses, width = about["shape"]
        objective = about["extras"]["objective"].long()
        if int(objective.min()) < 0 or int(objective.max()) >= len(self.weight):
            raise DataError(
                f"mah_dpo: a row's 'objective' is {int(objective.max())}, and `heads` has 0 to "
                f"{len(self.weight) - 1}"
            )
        which = objective.to(hidden.device)[about["place"] // (responses * width)]
        places = [(which == head).nonzero()[:, 0] for head in range(len(self.weight))]
        parts = [linear(hidden[at], head) for at, head in zip(places, self.weight, strict=True)]
        # Each head saw its own rows; put what they said back into the rows' order.
        return torch.cat(parts)[torch.cat(places).argsort()]


def put_heads(model: Any, count: int, noise: float, seed: int) -> Heads:
    """Replace a model's output layer by several, untied from its embeddings."""
    heads = Heads(model.get_output_embeddings(), count, noise, seed)
    model.config.tie_word_embeddings = False
    model.set_output_embeddings(heads)
    return heads


def mixed(model: Any, heads: Heads) -> dict[str, Any]:
    """A model's weights with the mean of its heads as its one head."""
    names = {name for name, weight in model.named_parameters() if weight is heads.weight}
    return {
        name: weight.mean(0) if name in names else weight
        for name, weight in model.state_dict().items()
    }
