"""Outputs on a trunk: a head for each objective, a number beside the logits, a number alone.

Leaves out: several heads with a bias, adapters, and models spread over several processes.
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
        named = about["extras"]["objective"]
        objective = named.long()
        odd = (objective != named) | (objective < 0) | (objective >= len(self.weight))
        if bool(odd.any()):
            raise DataError(
                f"mah_dpo: a row's 'objective' is {float(named[odd][0]):g}, and `heads` has 0 to "
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


class Scored(torch.nn.Module):
    """An output layer with one more number a position.

    Attributes:
        weight, bias: of the layer it stands for, the same tensors, tied where they were.
        score: (H,), 0 at first: every response is worth the same, and the first loss is known.
        selection: where the numbers of a forward pass go, beside what it is about.
    """

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, getattr(layer, "bias", None)
        self.score = torch.nn.Parameter(layer.weight.detach().new_zeros(layer.weight.shape[1]))
        self.selection: Selection | None = None

    def forward(self, hidden: Tensor) -> Tensor:
        """Logits (N, V) of the kept positions' states (N, H)."""
        about = None if self.selection is None else self.selection.about
        if about is not None:
            # As PPO's values: a number to regress on and not a probability.
            with torch.autocast(hidden.device.type, enabled=False):
                about["values"] = hidden.float() @ self.score
        return linear(hidden, self.weight, self.bias)


def put_score(model: Any) -> Scored:
    """Give a model the second output."""
    layer = Scored(model.get_output_embeddings())
    model.set_output_embeddings(layer)
    return layer


def unscored(model: Any, layer: Scored) -> dict[str, Any]:
    """A model's weights without those of its second output."""
    names = {name for name, weight in model.named_parameters() if weight is layer.score}
    return {name: weight for name, weight in model.state_dict().items() if name not in names}


class FullPrecision(torch.nn.Linear):
    """A linear layer in float32, whatever the states it reads and the weights it is made from."""

    def __init__(self, layer: torch.nn.Linear) -> None:
        biased = layer.bias is not None
        super().__init__(layer.in_features, layer.out_features, biased, device="meta")
        self.weight = torch.nn.Parameter(layer.weight.detach().float())
        if biased:
            self.bias = torch.nn.Parameter(layer.bias.detach().float())

    def forward(self, states: Tensor) -> Tensor:
        """Numbers (..., N) in float32 of states (..., H)."""
        # As PPO's values: a number to regress on and not a probability.
        with torch.autocast(states.device.type, enabled=False):
            return linear(states.float(), self.weight, self.bias)


def put_full_precision(model: Any) -> None:
    """Give a model with one number as output that output layer in float32."""
    for name in ("score", "classifier"):  # those that PEFT trains beside an adapter
        layer = getattr(model, name, None)
        if isinstance(layer, torch.nn.Linear):
            setattr(model, name, FullPrecision(layer))
