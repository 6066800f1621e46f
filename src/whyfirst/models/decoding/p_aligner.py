"""P-Aligner: the instruction is rewritten, by a tree search over principles, before it is answered.

"P-Aligner: Enabling Pre-Alignment of Language Models via Principled Instruction Synthesis" (2025).
Monte Carlo tree search: a child is the instruction rewritten by one rule; its reward is the mean
reward of answers to the rewrite, scored against the raw instruction; a node is worth the best of
itself and its children. Leaves out: the small rewriter trained on the trees (transform `rewrites`).
"""

import math
from dataclasses import dataclass, field

from whyfirst.models.base import LanguageModel, Prompt, Sampling
from whyfirst.models.decoding import DECODINGS, Score
from whyfirst.models.decoding.dialogue import Dialogue, Request, Script, drawn, rephrased, words

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

    @property
    def reward(self) -> float:
        """The best of itself and its children."""
        return max([self.own, *(child.reward for child in self.children)])

    def to_json(self) -> dict[str, object]:
        """As the transform `rewrites` reads it."""
        children = [child.to_json() for child in self.children]
        return {"instruction": self.text, "reward": self.own, "children": children}


@DECODINGS.enter(
    "p_aligner",
    paper="P-Aligner (2025)",
    needs="reward (a reward's name); score",
    tested="answers are scored against the raw instruction; a failed rewrite changes no tree",
)
def p_aligner(
    model: LanguageModel,
    *,
    score: Score,
    reward: str,
    judge_model: LanguageModel | None = None,
    iterations: int = 10,
    exploration: float = 1.0,
    answers: int = 3,
    rules: tuple[str, ...] = RULES,
) -> LanguageModel:
    """The answer to the best rewrite found.

    Args:
        reward: what answers are scored by.
        iterations: rewrites tried; 0 leaves the model as it is.
        exploration: weight of the term for nodes seldom visited.
        answers: drawn for each rewrite.
        rules: what a rewrite is asked for, in turn.
    """

    def script(prompt: Prompt, sampling: Sampling) -> Script:
        samples = drawn(sampling, 0.7)

        def worth(texts: list[str]) -> float | None:
            values = [v for v in score(reward, [prompt] * len(texts), texts) if v is not None]
            return sum(values) / len(values) if values else None

        best = words(prompt)
        if iterations:
            (given,) = yield [Request(prompt, samples, n=answers)]
            own = worth([completion.text for completion in given])
            root = Node(best, -math.inf if own is None else own)
            for _ in range(iterations):
                leaf = selected(root, exploration)
                asked = REWRITE.format(
                    instruction=leaf.text, rule=rules[len(leaf.children) % len(rules)]
                )
                samples_now = drawn(sampling, 0.7)
                ((said, *_),) = yield [Request(rephrased(prompt, asked), samples_now, "rewriter")]
                text = said.text.strip().strip('"')
                (given,) = yield [Request(rephrased(prompt, text or best), samples, n=answers)]
                value = worth([completion.text for completion in given]) if text else None
                if value is None:
                    dialogue.fallbacks["a rewrite failed: the tree stays as it is"] += 1
                    continue
                leaf.children.append(Node(text, value, leaf))
                node: Node | None = leaf
                while node is not None:
                    node.visits += 1
                    node = node.parent
            best = top(root).text
            trees.append(root)
        ((answer, *_),) = yield [Request(rephrased(prompt, best), sampling)]
        return answer

    trees: list[Node] = []
    options = {
        "reward": reward, "iterations": iterations, "exploration": exploration,
        "answers": answers, "rules": rules,
    }  # fmt: skip
    roles = {} if judge_model is None else {"rewriter": judge_model}
    dialogue = Dialogue(model, "p_aligner", options, script, roles)
    return dialogue


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
