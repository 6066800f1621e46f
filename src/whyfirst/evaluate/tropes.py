"""Tropes: justifications that recur in many answers, found as dense clusters of sentences.

Wright et al. 2024, "LLM Tropes: Revealing Fine-Grained Values and Opinions in Large Language
Models", arXiv 2406.19238: sentences of more than 20 characters, DBSCAN by cosine distance, the
sentence nearest to a cluster's mean as its trope. Leaves out: the model that drops tropes which are
no argument, and clusters as large as half of all sentences.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from whyfirst.evaluate.scorers.grounded import sentences
from whyfirst.models.embed import Embed, lexical
from whyfirst.stats.clusters import NOISE, clusters

_SHORTEST = 20


class Trope(NamedTuple):
    """A recurring sentence.

    Attributes:
        text: the sentence nearest to the cluster's mean.
        sides: how many of its sentences come from answers of each side (agree, disagree).
    """

    text: str
    sides: Counter[str]

    @property
    def shared(self) -> bool:
        """Whether both sides say it."""
        return len(self.sides) > 1


def tropes(
    answers: Sequence[str],
    sides: Sequence[str],
    embed: Embed = lexical,
    eps: float = 0.15,
    least: int = 10,
) -> tuple[list[Trope], list[float | None]]:
    """The tropes of some answers, and the share of each answer's sentences that belong to one.

    Args:
        sides: of each answer, e.g. agree or disagree.

    Returns:
        Tropes, the most frequent first, and a share an answer; None without a long sentence.
    """
    where = [(at, text) for at, answer in enumerate(answers)
             for text in sentences(answer) if len(text) > _SHORTEST]  # fmt: skip
    if not where:
        return [], [None] * len(answers)
    vectors = embed([text for _, text in where])
    labels = np.array(clusters(vectors, eps, least))
    found = []
    for number in range(labels.max() + 1):
        members = np.flatnonzero(labels == number)
        mean = vectors[members].mean(axis=0)
        nearest = members[np.linalg.norm(vectors[members] - mean, axis=1).argmin()]
        count = Counter(sides[where[m][0]] for m in members)
        found.append(Trope(where[nearest][1], count))
    inside: dict[int, list[bool]] = {}
    for (at, _), label in zip(where, labels.tolist(), strict=True):
        inside.setdefault(at, []).append(label != NOISE)
    shares = [sum(inside[at]) / len(inside[at]) if at in inside else None
              for at in range(len(answers))]  # fmt: skip
    return sorted(found, key=lambda trope: -trope.sides.total()), shares
