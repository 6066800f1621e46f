"""What two of the small forms share: an encoder of texts small enough to train in a test.

Leaves out: pretrained encoders; any module from word counts to vectors takes its place.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from whyfirst.models.embed import lexical


class WordEncoder(nn.Module):
    """Word counts through one hidden layer to a vector of length one.

    Args:
        size: of the vectors.
        hidden: of the layer.
    """

    def __init__(self, size: int = 32, hidden: int = 64) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(512, hidden), nn.Tanh(), nn.Linear(hidden, size))

    def forward(self, texts: Sequence[str]) -> Tensor:
        """Vectors of texts, shape (N, size)."""
        counts = torch.from_numpy(lexical(texts)).float()
        out: Tensor = nn.functional.normalize(self.layers(counts), dim=-1)
        return out
