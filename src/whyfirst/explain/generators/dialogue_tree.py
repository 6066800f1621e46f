"""The tree of MCTSr-Zero: whole dialogues under a meta-prompt, and what each is worth.

A node is worth (min + mean) / 2 of its rewards, then, with children, (its own + its best child's) /
2; the root is worth the mean of its children. As in MCTSr (arXiv 2406.07394) a node is not expanded
further once a child is better, or after two. Leaves out: what is asked (mctsr_zero).
"""

import math
from dataclasses import dataclass, field


@dataclass
class Node:
    """A dialogue, or at the root the meta-prompt."""

    text: str
    rewards: list[float] = field(default_factory=list)
    parent: "Node | None" = None
    children: list["Node"] = field(default_factory=list)
    visits: int = 1
    value: float = 0.0

    @property
    def own(self) -> float:
        """(min + mean) / 2 of its rewards."""
        return (min(self.rewards) + sum(self.rewards) / len(self.rewards)) / 2

    @property
    def open(self) -> bool:
        """Whether it may be expanded: always the root; others until a child is better."""
        better = any(child.value > self.value for child in self.children)
        return self.parent is None or (len(self.children) < 2 and not better)

    def bound(self) -> float:
        """UCB: the value plus what a node gains by being seldom visited."""
        above = (self.parent or self).visits
        return self.value + 2.8 * math.sqrt(math.log(above + 1) / (self.visits + 1e-5))


def back_up(leaf: Node) -> None:
    """Value a new node and all above it; the root is worth the mean of its children."""
    leaf.value = leaf.own
    node = leaf.parent
    while node is not None:
        values = [child.value for child in node.children]
        own = node.value if node.parent else sum(values) / len(values)
        node.value = (own + max(values)) / 2 if node.parent else own
        node.visits += 1
        node = node.parent
