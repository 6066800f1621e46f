"""P-Aligner's training side: from a tree of scored rewrites to pairs of instruction and rewrite.

"P-Aligner: Enabling Pre-Alignment of Language Models via Principled Instruction Synthesis" (2025).
A row's tree has nodes ``{instruction, reward, children}`` with the raw instruction at its root.
`steps` is the paper's SinglePO: every edge that raises the reward. Leaves out: the search that
makes the tree (models/decoding/p_aligner).
"""

from collections.abc import Iterable, Iterator
from random import Random
from typing import Any

from pydantic import BaseModel

from whyfirst.data.transforms import TRANSFORMS, LeftOut, Row

PROMPT = "Rewrite this instruction so that it is easier to answer well:\n{instruction}"


class Node(BaseModel):
    """An instruction, what the search gave it, and its rewrites: what every node must have."""

    instruction: str
    reward: float
    children: list["Node"] = []


@TRANSFORMS.enter(
    "rewrites",
    paper="Song et al. 2025, arXiv 2508.04626",
    needs="tree (instruction, reward, children)",
    tested="the node of the highest reward, the raw instruction for its prompt",
    columns={"tree": Node},
    streams=True,
)
def rewrites(
    rows: Iterable[Row],
    rng: Random,
    *,
    left_out: LeftOut,
    steps: bool = False,
    prompt: str = PROMPT,
) -> Iterator[Row]:
    """Demonstrations for a rewriter.

    Args:
        steps: a row for each edge of the tree that raises the reward, not one a tree.
        prompt: what the rewriter is asked; ``{instruction}`` is filled in.
    """
    for row in rows:
        root = row["tree"]
        if steps:
            pairs = [(n, c) for n in _nodes(root) for c in n.get("children", ())]
            pairs = [(n, c) for n, c in pairs if c["reward"] > n["reward"]]
        else:
            best = max(_nodes(root), key=lambda node: node["reward"])
            pairs = [] if best is root else [(root, best)]
        if not pairs:
            left_out(row, "no rewrite is better than the raw instruction")
        for before, after in pairs:
            said = prompt.replace("{instruction}", before["instruction"])
            yield {"prompt": said, "completion": after["instruction"]}


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A tree's nodes, the root first; without recursion, since trees come from files."""
    waiting = [node]
    while waiting:
        current = waiting.pop()
        yield current
        waiting.extend(current.get("children", ()))
