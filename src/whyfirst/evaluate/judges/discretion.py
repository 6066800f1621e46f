"""Where principles leave a judge room, and what it does with it.

Buyl et al. 2025, "AI Alignment at Your Discretion", arXiv 2502.10441. A pair on which no principle
has a preference is one of indifference; both signs make a conflict; else there is consensus.
Leaves out: asking for the principles' preferences (audits/discretion.py).
"""

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Literal

import numpy as np
import numpy.typing as npt

Sign = Literal[1, -1, 0]
"""1 where the first response is preferred, -1 where the second, 0 where neither."""
Kind = Literal["indifference", "conflict", "consensus"]


def sign_of(a: float, b: float, neither: float) -> Sign:
    """A preference from three probabilities; none where "neither" exceeds both, or they tie."""
    if neither > max(a, b) or a == b:
        return 0
    return 1 if a > b else -1


def kind_of(signs: Sequence[Sign]) -> Kind:
    """What the principles' preferences on one pair amount to."""
    said = set(signs) - {0}
    return "indifference" if not said else "conflict" if len(said) == 2 else "consensus"


def arbitrary(signs: Sequence[Sign], judged: Sign) -> bool | None:
    """Whether a judge goes against a consensus; None where there is none, or it says nothing."""
    if kind_of(signs) != "consensus" or judged == 0:
        return None
    return judged not in signs


def supremacy(rows: Sequence[Sequence[Sign]], judged: Sequence[Sign]) -> npt.NDArray[np.float64]:
    """wins[i, j]: conflicts between principles i and j that the judge decided as i says, (P, P)."""
    wins = np.zeros((len(rows[0]), len(rows[0])))
    for signs, said in zip(rows, judged, strict=True):
        for i, j in combinations(range(len(signs)), 2):
            if said and signs[i] * signs[j] == -1:
                wins[(i, j) if signs[i] == said else (j, i)] += 1
    return wins


def priorities(wins: npt.NDArray[np.float64], rounds: int = 2000) -> npt.NDArray[np.float64]:
    """Bradley-Terry strengths on the log scale, (P,), by Hunter's MM; their mean is 0.

    Infinite for a principle that never lost (minus: never won) among those not put aside so yet;
    NaN for one that was in no conflict. Principles that no chain of conflicts links can't be
    compared.
    """
    out = np.full(len(wins), np.nan)
    left = np.flatnonzero(wins.sum(axis=0) + wins.sum(axis=1) > 0)
    while left.size:
        among = wins[np.ix_(left, left)]
        won, lost = among.sum(axis=1), among.sum(axis=0)
        aside = (won == 0) | (lost == 0)
        out[left] = np.where(won + lost == 0, 0.0, np.where(lost == 0, np.inf, -np.inf))
        if aside.any():
            left = left[~aside]
            continue
        strength = np.ones(left.size)
        for _ in range(rounds):
            strength = won / ((among + among.T) / np.add.outer(strength, strength)).sum(axis=1)
            strength /= np.exp(np.log(strength).mean())
        out[left] = np.log(strength)
        break
    return out


def discrepancy(one: Sequence[float], other: Sequence[float]) -> float:
    """(1 - Kendall's tau-b) / 2 between two judges' priorities: 0 the same order, 1 the reverse."""
    pairs = [
        (np.sign(one[i] - one[j]) if one[i] != one[j] else 0.0,
         np.sign(other[i] - other[j]) if other[i] != other[j] else 0.0)
        for i, j in combinations(range(len(one)), 2)
    ]  # fmt: skip
    untied = math.prod(sum(pair[side] != 0 for pair in pairs) for side in (0, 1))
    if not untied:
        return math.nan
    tau = sum(a * b for a, b in pairs) / math.sqrt(untied)
    return float(1 - tau) / 2
