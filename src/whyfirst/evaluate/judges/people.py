"""How far a judge agrees with several people: leave-one-out agreement, and Scott's pi.

Leave-one-out agreement as HREF has it (Lyu et al. 2024, arXiv 2412.15524): each person in turn is
held out, and the mode of the others is compared with the judge (outer) and with the person (inner).
Scott's pi: Scott 1955; as in Answer Matching (Chandak et al. 2025, arXiv 2507.02856). Leaves out:
two-valued labels with Cohen's kappa (agreement.py).
"""

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np

from whyfirst.stats.statistics import Interval

_DRAWS = 2000


class LeaveOneOut(NamedTuple):
    """Shares of agreement with the mode of the people left: the judge's, and a person's."""

    outer: float
    inner: float


def leave_one_out(labels: Sequence[Hashable], judged: Hashable) -> LeaveOneOut:
    """One item's agreement; where several labels are as frequent each counts in proportion.

    Args:
        labels: one a person, at least two.
    """
    outer = inner = 0.0
    for place, own in enumerate(labels):
        counts = Counter([*labels[:place], *labels[place + 1 :]])
        most = [label for label, n in counts.items() if n == max(counts.values())]
        outer += (judged in most) / len(most)
        inner += (own in most) / len(most)
    return LeaveOneOut(outer / len(labels), inner / len(labels))


def scotts_pi(one: Sequence[Hashable], other: Sequence[Hashable]) -> float:
    """(p_o - p_e) / (1 - p_e), chance from both sides' labels together; nan where p_e is 1."""
    n = len(one)
    observed = sum(a == b for a, b in zip(one, other, strict=True)) / n
    chance = sum((count / (2 * n)) ** 2 for count in Counter([*one, *other]).values())
    return (observed - chance) / (1 - chance) if chance < 1 else float("nan")


def scotts_pi_interval(
    one: Sequence[Hashable],
    other: Sequence[Hashable],
    topics: Sequence[Hashable] | None = None,
    seed: int = 0,
) -> Interval:
    """Scott's pi with the percentile bootstrap's 95 % interval.

    Args:
        topics: resample these in place of items, to generalise over topics.
    """
    groups: dict[Hashable, list[int]] = {}
    for place in range(len(one)):
        groups.setdefault(place if topics is None else topics[place], []).append(place)
    parts, rng = list(groups.values()), np.random.default_rng(seed)
    drawn = []
    for _ in range(_DRAWS):
        places = [p for at in rng.integers(len(parts), size=len(parts)) for p in parts[at]]
        drawn.append(scotts_pi([one[p] for p in places], [other[p] for p in places]))
    low, high = np.nanquantile(drawn, (0.025, 0.975))
    return Interval(scotts_pi(one, other), float(low), float(high))
