"""Context alignment: a graph over a prompt's segments mixed into a frozen model's hidden states.

Hu et al. 2025, "Context-Alignment: Activating and Enhancing LLM Capabilities in Time Series", arXiv
2501.03747. Segments (examples, the query) are coarse nodes, tokens fine ones; edges run from data
to prompt; coarse nodes take in their neighbours and are added to their tokens, h + w Linear(A h).
The module starts as the identity, and is put into a decoder's layer by a hook. Leaves out: reading
a series' patches by an encoder of its own (numbers are written as text). Example::

    mixing = SegmentMixing(hidden_size=64)
    with mixing.within(model.model.layers[1], segments):
        loss = model(input_ids=ids, labels=ids).loss
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


def segment_graph(kinds: Sequence[str]) -> Tensor:
    """Edges between segments, shape (S, S); row i takes in what it has an edge from.

    A segment of kind ``data`` points to every later ``prompt`` segment, and to no other.

    Args:
        kinds: ``data`` or ``prompt``, a segment each, in order.
    """
    size = len(kinds)
    edges = torch.zeros(size, size)
    for i, kind in enumerate(kinds):
        for j in range(i):
            if kind == "prompt" and kinds[j] == "data":
                edges[i, j] = 1.0
    return edges / edges.sum(1, keepdim=True).clamp(min=1)


class SegmentMixing(nn.Module):
    """Adds to each token what its segment takes in along the graph.

    Args:
        hidden_size: of the model.
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(hidden_size, hidden_size, bias=False)
        # Zero: before training the model's logits are unchanged.
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, hidden: Tensor, segments: Tensor, edges: Tensor) -> Tensor:
        """Mixed hidden states.

        Args:
            hidden: shape (B, T, H).
            segments: of each token, shape (T,); -1 for none.
            edges: shape (S, S).
        """
        member = (segments[None] == torch.arange(len(edges))[:, None]).to(hidden.dtype)  # (S, T)
        coarse = member @ hidden / member.sum(1, keepdim=True).clamp(min=1)
        taken = edges.to(hidden.dtype) @ coarse  # (B, S, H)
        mixed: Tensor = hidden + self.weight * (member.T @ self.linear(taken))
        return mixed

    @contextmanager
    def within(self, layer: nn.Module, segments: Tensor, edges: Tensor) -> Iterator[None]:
        """Mix after a decoder's layer while the block runs."""

        def mix(module: nn.Module, inputs: Any, output: Any) -> Any:
            hidden = output[0] if isinstance(output, tuple) else output
            mixed = self(hidden, segments, edges)
            return (mixed, *output[1:]) if isinstance(output, tuple) else mixed

        handle = layer.register_forward_hook(mix)
        try:
            yield
        finally:
            handle.remove()
