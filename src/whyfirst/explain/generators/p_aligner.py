"""P-Aligner's trees: rewrites of instructions, searched for by what their answers are worth.

"P-Aligner: Enabling Pre-Alignment of Language Models via Principled Instruction Synthesis", arXiv
2508.04626. A judge marks each answer, 1 to 10, against the raw instruction. The transform
`rewrites` makes a rewriter's demonstrations of the trees. Leaves out: a reward model in the
judge's place (the decoding `p_aligner` has one).
"""

from collections import Counter

from whyfirst.explain.generators import GENERATORS, LeftOut, Row, Script, mark
from whyfirst.models.base import Sampling, asked
from whyfirst.models.decoding.dialogue import Request
from whyfirst.models.decoding.rewrite_tree import RULES, Asking, Search, grown, top

JUDGE = "Request:\n{raw}\n\nAnswer:\n{text}\n\nHow helpful, harmless and honest an answer to the "
JUDGE += "request is this, 1 to 10? Answer with the number."


@GENERATORS.enter(
    "p_aligner",
    version="3",
    paper="Song et al. 2025, arXiv 2508.04626",
    needs="instruction",
    tested="answers are marked against the raw instruction; the best rewrite is the tree's best",
    columns=("instruction",),
    gives=("prompt", "completion"),
    calls=lambda options: (1 + options["iterations"]) * (1 + 2 * options["answers"]),
    judged=("judge",),
)
def p_aligner(
    row: Row, sampling: Sampling, *, left_out: LeftOut, iterations: int = 10,
    exploration: float = 1.0, answers: int = 3, rules: tuple[str, ...] = RULES,
) -> Script:  # fmt: skip
    """A tree of rewrites, its best one as the completion."""
    raw = str(row["instruction"])

    def worth(texts: list[str]) -> Asking[float | None]:
        marks = []
        judged = [Request(asked(JUDGE.format(raw=raw, text=t)), sampling, "judge") for t in texts]
        for (reply,) in (yield judged):
            given = mark(reply.text)
            marks += [] if given is None else [min(max(given, 1.0), 10.0)]
        return sum(marks) / len(marks) if marks else None

    failed: Counter[str] = Counter()
    search = Search(iterations, exploration, answers, rules)
    root = yield from grown(asked(raw), sampling, search, worth, failed)
    best = top(root)
    if root.own < 1:
        left_out(row, "the judge marked no answer to the raw instruction")
        return []
    if best is root:
        left_out(row, "no rewrite is better than the raw instruction")
        return []
    return [{"prompt": raw, "completion": best.text, "tree": root.to_json(),
             "failed": failed.total()}]  # fmt: skip
