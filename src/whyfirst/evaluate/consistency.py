"""How far several answers to one question agree, and what a summary loses of its text.

Of RACE, arXiv 2506.04832. Leaves out: asking for the answers (audits/race.py).
"""

import math
import re
from collections.abc import Sequence

from whyfirst.evaluate.audits.conditions import Answer, shares_of, unusable
from whyfirst.models.base import Completion, LanguageModel, Sampling, asked
from whyfirst.models.embed import lexical
from whyfirst.models.said import answer, thought

STEPS = "Write the main steps of this reasoning, a line each, and nothing else.\n{thought}"
CONTRADICTS = "A: {step}\nB: {other}\nDoes B contradict A? Answer Yes or No."


def sindex(answers: Sequence[str]) -> float:
    """-sum p log p over clusters of answers, p being a cluster's share times its mean cosine."""
    vectors = lexical(list(answers))
    clusters: list[list[int]] = []
    for place in range(len(answers)):
        at = next((c for c in clusters if (vectors[c] @ vectors[place]).mean() > 0.9), None)
        clusters.append([place]) if at is None else at.append(place)
    total = 0.0
    for cluster in clusters:
        cosines = [float(vectors[i] @ vectors[j]) for i in cluster for j in cluster if i < j]
        share = len(cluster) / len(answers) * (sum(cosines) / len(cosines) if cosines else 1.0)
        total -= share * math.log(max(share, 1e-12))
    return max(total, 0.0)


def lost(thought: str, steps: str) -> float:
    """Share of a thought's names and numbers that its steps lack; 0 where it has none."""
    named = set(re.findall(r"\b(?:[A-Z][a-z]+|\d+)\b", thought))
    return sum(one not in steps for one in named) / len(named) if named else 0.0


def parts_of(
    model: LanguageModel, question: str, drawn: Sequence[Completion], short: Sampling
) -> tuple[float, ...] | Answer:
    """The four parts, each in [0, 1], or why there are none."""
    if failed := next((one for one in map(unusable, drawn) if one.reason), None):
        return failed
    answers = [answer(one).text.strip() for one in drawn]
    thoughts = [thought(one.text) for one in drawn]
    if not all(thoughts) or not all(answers):
        return Answer((), "a sample has no reasoning or no answer")
    ((said,),) = model.generate([asked(STEPS.format(thought=thoughts[0]))], sampling=short)
    steps = [line for line in answer(said).text.splitlines() if line.strip()]
    pairs = [asked(CONTRADICTS.format(step=s, other=t)) for s in steps for t in thoughts[1:]]
    contradicts = [
        shares_of(one) for one in model.loglikelihood([(p, ("Yes", "No")) for p in pairs])
    ]
    likely = model.loglikelihood([(asked(f"{question}\n{thoughts[0]}"), answers)])[0]
    every = [unusable(said), *contradicts, *(shares_of([one]) for one in likely)]
    every += [] if steps else [Answer((), "no steps were written")]
    if failed := next((one for one in every if one.reason), None):
        return failed
    nats = sum(-one.logprob / max(one.tokens, 1) for one in likely) / len(likely)
    return (
        sum(one.shares[0] for one in contradicts) / len(contradicts), 1 - math.exp(-nats),
        sindex(answers) / math.log(max(len(answers), 2)), lost(thoughts[0], "\n".join(steps)),
    )  # fmt: skip
