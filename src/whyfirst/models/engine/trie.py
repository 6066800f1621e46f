"""One line of a scoring batch: a prompt and its continuations as a tree, every token once.

Continuations that begin alike share those tokens too. Nodes lie in the order of a depth-first
walk, so that a node's descendants are the nodes from itself to its `ends`: the attention mask is
two comparisons. Leaves out: running the model (`score`), and beginnings that prompts share
(`beginnings`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from whyfirst.models.engine.beginnings import common_length


@dataclass(frozen=True)
class Row:
    """A tree of W tokens the model reads and E tokens it is asked to predict.

    Args:
        tokens: (W) ids, the prompt's first.
        depths: (W) place in its own sequence, from 0.
        ends: (W) the node after a node's last descendant.
        predictors: (E) the node whose output predicts a scored token, ascending.
        targets: (E) the scored tokens' ids.
        paths: of each continuation, which scored tokens make it up.
        places: of each continuation, where its result goes.
    """

    tokens: list[int]
    depths: list[int]
    ends: list[int]
    predictors: list[int]
    targets: list[int]
    paths: list[list[int]]
    places: list[int]

    @property
    def branches(self) -> bool:
        """Whether it is more than one sequence."""
        return any(end != len(self.tokens) for end in self.ends)


def build(
    prompt: Sequence[int], continuations: Sequence[Sequence[int]], places: Sequence[int]
) -> Row:
    """The tree of a prompt (at least one token) and its continuations (at least one token each).

    A continuation's last token is only predicted, so it is read only if a longer one goes on.
    """
    tokens, depths, ends = list(prompt), list(range(len(prompt))), [0] * len(prompt)
    edges: list[tuple[int, int]] = []
    nodes: list[int] = []  # the nodes of the latest continuation, by depth
    path: list[int] = []  # its scored tokens
    paths: list[list[int]] = []
    latest: Sequence[int] = ()
    # Sorted, those that begin alike are neighbours, and a walk through them is depth first.
    order = sorted(range(len(continuations)), key=lambda i: tuple(continuations[i]))
    for number in order:
        wanted = continuations[number]
        same = common_length(latest, wanted)
        # The last token is not read, so that it may stand in `same` and be no node.
        kept = min(same, len(nodes), len(wanted) - 1)
        for closed in nodes[kept:]:
            ends[closed] = len(tokens)
        del nodes[kept:], path[same:]
        new = range(len(tokens), len(tokens) + len(wanted) - 1 - kept)
        nodes += new
        tokens += wanted[kept:-1]
        depths += range(len(prompt) + kept, len(prompt) + len(wanted) - 1)
        ends += [0] * len(new)
        before = [len(prompt) - 1, *nodes]
        path += range(len(edges), len(edges) + len(wanted) - same)
        edges += zip(before[same:], wanted[same:], strict=True)
        paths.append(list(path))
        latest = wanted
    for still_open in (*range(len(prompt)), *nodes):
        ends[still_open] = len(tokens)
    # By predictor, so that outputs can be taken in slices.
    by_place = sorted(range(len(edges)), key=lambda edge: edges[edge][0])
    rank = {edge: place for place, edge in enumerate(by_place)}
    return Row(
        tokens, depths, ends,
        predictors=[edges[edge][0] for edge in by_place],
        targets=[edges[edge][1] for edge in by_place],
        paths=[[rank[edge] for edge in path] for path in paths],
        places=[places[i] for i in order],
    )  # fmt: skip


def mask(ends: torch.Tensor, past: int, dtype: torch.dtype) -> torch.Tensor:
    """Additive attention mask: each node sees the shared beginning, its ancestors and itself.

    Args:
        ends: (B, W) of each line's nodes; 0 marks padding.
        past: tokens of the shared beginning.

    Returns:
        (B, 1, W, past + W).
    """
    lines, width = ends.shape
    node = torch.arange(width, device=ends.device)
    query, key = node[:, None], node[None, :]
    hidden = (key > query) | (query >= ends[:, None, :])
    result = torch.zeros(lines, 1, width, past + width, dtype=dtype, device=ends.device)
    result[:, 0, :, past:].masked_fill_(hidden, torch.finfo(dtype).min)
    return result
