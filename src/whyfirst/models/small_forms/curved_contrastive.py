"""Curved contrastive learning: nearness of two turns is how many turns lie between them.

Erker et al. 2023, "Imagination is All You Need!", arXiv 2211.07591. An earlier turn is read as
[BEFORE], a later one as [AFTER]; their cosine is trained towards 1 - (d - 1) / L at distance d up
to L, and towards 0 in the reversed order (the released code is a step lower: 1 - d / L). Leaves
out: pretrained encoders and random negatives from other dialogues in one batch (pass them as
further dialogues). Example::

    encoder = WordEncoder()
    train(encoder, [["hello", "how are you", "fine", "let us start"]])
    similarity(encoder, ["fine"], "let us start")
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

BEFORE, AFTER = "[BEFORE] ", "[AFTER] "
WINDOW = 5


class TurnPair(NamedTuple):
    """Two turns and the similarity they are trained towards."""

    before: str
    after: str
    target: float


def turn_pairs(dialogue: Sequence[str], window: int = WINDOW) -> list[TurnPair]:
    """Pairs within `window` turns, each in its order and, with target 0, reversed."""
    pairs = []
    for i, first in enumerate(dialogue):
        for distance, second in enumerate(dialogue[i + 1 : i + 1 + window], 1):
            pairs.append(TurnPair(first, second, 1 - (distance - 1) / window))
            pairs.append(TurnPair(second, first, 0.0))
    return pairs


def loss(encoder: nn.Module, pairs: Sequence[TurnPair]) -> Tensor:
    """Mean squared error of the pairs' cosines, a scalar."""
    before = encoder([BEFORE + pair.before for pair in pairs])
    after = encoder([AFTER + pair.after for pair in pairs])
    targets = torch.tensor([pair.target for pair in pairs])
    wrong: Tensor = ((before * after).sum(-1) - targets).pow(2).mean()
    return wrong


def train(
    encoder: nn.Module, dialogues: Sequence[Sequence[str]], updates: int = 800, rate: float = 1e-2
) -> float:
    """Fit an encoder to dialogues; the last loss."""
    pairs = [pair for dialogue in dialogues for pair in turn_pairs(dialogue)]
    optimizer = torch.optim.Adam(encoder.parameters(), lr=rate)
    value = loss(encoder, pairs)
    for _ in range(updates):
        optimizer.zero_grad()
        value = loss(encoder, pairs)
        value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return value.item()


@torch.no_grad()
def similarity(encoder: nn.Module, replies: Sequence[str], goal: str) -> list[float]:
    """How near each reply stands to a goal, to rank replies by."""
    out: list[float] = (
        encoder([BEFORE + text for text in replies]) @ encoder([AFTER + goal])[0]
    ).tolist()
    return out
