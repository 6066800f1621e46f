"""P-Aligner: the instruction is rewritten, by a tree search over principles, before it is answered.

"P-Aligner: Enabling Pre-Alignment of Language Models via Principled Instruction Synthesis" (2025).
The best node of the tree (rewrite_tree) is what is answered; a node's reward is the mean reward of
answers to it, scored against the raw instruction. Leaves out: the small rewriter trained on the
trees (transform `rewrites`; the generator `p_aligner` writes trees for it).
"""

from dataclasses import asdict

from whyfirst.models.base import LanguageModel, Prompt, Sampling
from whyfirst.models.decoding import DECODINGS, AtLeast0, AtLeast1, Score
from whyfirst.models.decoding.dialogue import Dialogue, Request, Script, drawn, rephrased, words
from whyfirst.models.decoding.rewrite_tree import RULES, Asking, Node, Search, grown, top


@DECODINGS.enter(
    "p_aligner",
    version="3",
    paper="Song et al. 2025, arXiv 2508.04626",
    needs="reward (a reward's name); score",
    tested="answers are scored against the raw instruction; a failed rewrite changes no tree",
)
def p_aligner(
    model: LanguageModel,
    *,
    score: Score,
    reward: str,
    judge_model: LanguageModel | None = None,
    iterations: AtLeast0 = 10,
    exploration: float = 1.0,
    answers: AtLeast1 = 3,
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
        def worth(texts: list[str]) -> Asking[float | None]:
            yield from ()  # a reward asks no role of the dialogue
            values = [v for v in score(reward, [prompt] * len(texts), texts) if v is not None]
            return sum(values) / len(values) if values else None

        best = words(prompt)
        if iterations:
            samples = drawn(sampling, 0.7)
            root = yield from grown(prompt, samples, search, worth, dialogue.fallbacks)
            trees.append(root)
            best = top(root).text
        ((answer, *_),) = yield [Request(rephrased(prompt, best), sampling)]
        return answer

    trees: list[Node] = []
    search = Search(iterations, exploration, answers, rules)
    options = {"reward": reward, **asdict(search)}
    roles = {} if judge_model is None else {"rewriter": judge_model}
    dialogue = Dialogue(model, "p_aligner", options, script, roles)
    return dialogue
