"""A tree of an instruction's rewrites, grown by Monte Carlo tree search over rules.

A child is the instruction rewritten by one rule; its reward is what answers to the rewrite are
worth, held against the raw instruction; a node is worth the best of itself and its children. Under
the decoding `p_aligner` and the generator of that name. Leaves out: what an answer is worth.
"""

import math
from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import TypeVar

from whyfirst.models.base import Completion, Prompt, Sampling
from whyfirst.models.decoding.dialogue import Request, nth, rephrased, words

T = TypeVar("T")
RULES = (
    "Make the intent safe.",
    "Say what must not be done.",
    "Make clear what is meant.",
    "Add the information that is needed.",
    "Make the tone polite.",
    "Ask for facts that can be checked.",
    "Name a likely mistake to avoid.",
    "Correct what is wrong in it.",
    "Give a hint at how to begin.",
    "Ask for the result to be checked.",
)
REWRITE = "{instruction}\n\nDo not answer this. Rewrite it. {rule} Write the new version only."


@dataclass
class Node:
    """A rewrite of the instruction in the tree."""

    text: str
    own: float
    parent: "Node | None" = None
    visits: int = 1
    children: list["Node"] = field(default_factory=list)
    tried: int = 0

    @property
    def reward(self) -> float:
        """The best of itself and its children."""
        return max([self.own, *(child.reward for child in self.children)])

    def to_json(self) -> dict[str, object]:
        """As the transform `rewrites` reads it."""
        children = [child.to_json() for child in self.children]
        return {"instruction": self.text, "reward": self.own, "children": children}


@dataclass(frozen=True)
class Search:
    """How a tree is grown; the options of `p_aligner`."""

    iterations: int = 10
    exploration: float = 1.0
    answers: int = 3
    rules: tuple[str, ...] = RULES


Asking = Generator[list[Request], list[list[Completion]], T]
Worth = Callable[[list[str]], Asking[float | None]]
"""A script that says what answers are worth, held against the raw instruction; None if it can't."""


def grown(
    prompt: Prompt, samples: Sampling, search: Search, worth: Worth, fallbacks: Counter[str]
) -> Asking[Node]:
    """The tree of an instruction's rewrites, asked of the role ``rewriter``."""
    raw = words(prompt)
    (given,) = yield [Request(prompt, samples, n=search.answers)]
    own = yield from worth([completion.text for completion in given])
    root = Node(raw, -math.inf if own is None else own)
    for _ in range(search.iterations):
        leaf = selected(root, search.exploration)
        # Counted also where the rewrite fails, which would be asked again word for word.
        rule = search.rules[leaf.tried % len(search.rules)]
        draw = nth(samples, leaf.tried // len(search.rules))
        leaf.tried += 1
        asked = REWRITE.format(instruction=leaf.text, rule=rule)
        ((said, *_),) = yield [Request(rephrased(prompt, asked), draw, "rewriter")]
        text = said.text.strip().strip('"')
        (given,) = yield [Request(rephrased(prompt, text or raw), samples, n=search.answers)]
        value = (yield from worth([c.text for c in given])) if text else None
        if value is None:
            fallbacks["a rewrite failed: the tree stays as it is"] += 1
            continue
        leaf.children.append(Node(text, value, leaf))
        node: Node | None = leaf
        while node is not None:
            node.visits += 1
            node = node.parent
    return root


def selected(root: Node, exploration: float) -> Node:
    """The node to expand: down by reward and novelty (UCB) to the first that may grow.

    A node may have one child more than the root of its visits (progressive widening, Coulom 2007):
    ten rules and ten iterations would otherwise never leave the root.
    """
    node = root
    while len(node.children) > math.isqrt(node.visits):
        parent = node

        def bound(child: Node, parent: Node = parent) -> float:
            novelty = math.sqrt(math.log(parent.visits) / child.visits)
            return child.reward + exploration * novelty

        node = max(node.children, key=bound)
    return node


def top(root: Node) -> Node:
    """The node of the highest own reward, the root before its equals."""
    waiting, best = [root], root
    while waiting:
        node = waiting.pop(0)
        if node.own > best.own:
            best = node
        waiting += node.children
    return best
