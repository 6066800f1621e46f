"""How far several answers to one question agree, and what a summary loses of its text.

Of RACE, arXiv 2506.04832. Leaves out: asking for the answers (audits/race.py).
"""

import math
import re
from collections.abc import Sequence

from whyfirst.models.embed import lexical


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
