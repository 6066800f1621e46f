"""The training side of keyword-guided conversation: which concept the next turn will be about.

Zhong et al. 2021, "Keyword-Guided Neural Conversational Model", arXiv 2012.08383. Keywords of the
turns so far pass messages over the concept graph; a recurrent reader goes over the turns; the next
turn's keyword is classified among all concepts, by cross-entropy. Leaves out: ConceptNet's relation
kinds, and retrieving replies (decoding `keyword_guided`). Example::

    selector = KeywordSelector(["cat", "fur", "coat"], [(0, 1), (1, 2)])
    loss = selector.loss([[[0], [1]]], [2])
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy


class KeywordSelector(nn.Module):
    """Turns' keywords in, scores of the next one out.

    Args:
        words: the concepts.
        edges: of the graph, index pairs, taken both ways.
        size: of a concept's vector.
        rounds: of message passing.
    """

    def __init__(
        self,
        words: Sequence[str],
        edges: Sequence[tuple[int, int]],
        size: int = 32,
        rounds: int = 2,
    ) -> None:
        super().__init__()
        near = torch.eye(len(words))
        for one, other in edges:
            near[one, other] = near[other, one] = 1.0
        self.near: Tensor
        self.register_buffer("near", near / near.sum(1, keepdim=True))
        self.concept, self.rounds = nn.Embedding(len(words), size), rounds
        self.pass_on, self.read = nn.GRUCell(size, size), nn.GRU(size, size, batch_first=True)

    def concepts(self) -> Tensor:
        """Vectors of all concepts after message passing, shape (W, size)."""
        state = self.concept.weight
        for _ in range(self.rounds):
            state = self.pass_on(self.near @ state, state)
        return state

    def forward(self, histories: Sequence[Sequence[Sequence[int]]]) -> Tensor:
        """Scores of every concept as the next keyword, shape (B, W).

        Args:
            histories: for each dialogue the keywords (indices) of each turn so far.
        """
        known = self.concepts()
        out = []
        for turns in histories:
            vectors = torch.stack([known[torch.tensor(list(turn))].mean(0) for turn in turns])
            _, last = self.read(vectors[None])
            out.append(last[0, 0])
        return torch.stack(out) @ known.T

    def loss(
        self, histories: Sequence[Sequence[Sequence[int]]], following: Sequence[int]
    ) -> Tensor:
        """Cross-entropy of the keywords that did follow, a scalar."""
        return cross_entropy(self(histories), torch.tensor(list(following)))
