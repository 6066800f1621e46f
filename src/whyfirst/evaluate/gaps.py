"""Differences between groups of items: the widest within a split, and each group's to one of them.

Items about one topic are taken together (the crossed model's variance with one seed). Leaves out:
differences between arms (statistics.contrast), and several seeds: pass one seed's items. Formulas
and sources: docs/benchmarks.md.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from whyfirst.evaluate.item import ItemResult


@dataclass(frozen=True)
class Gap:
    """A difference between two groups' mean scores, as fractions with a 95 % interval.

    Args:
        metric: the items' metric.
        split: which part of the data; None where the metric has no splits.
        between: the two groups, the first minus the second.
        groups: how many groups were compared; for more than two the interval covers all pairs.
        note: what limits it; "" otherwise.
    """

    metric: str
    split: str | None
    between: tuple[str, str]
    value: float
    low: float
    high: float
    groups: int
    note: str = ""


@dataclass(frozen=True)
class _Mean:
    group: str
    value: float
    variance: float
    df: float
    topics: int

    def less(self, other: "_Mean", alpha: float) -> tuple[float, float]:
        """Welch's interval for the difference of two independent means."""
        from scipy.special import stdtrit

        variance = self.variance + other.variance
        df = variance**2 / (self.variance**2 / self.df + other.variance**2 / other.df)
        half = float(stdtrit(df, 1.0 - alpha / 2.0)) * math.sqrt(variance)
        difference = self.value - other.value
        return difference - half, difference + half


def range_gaps(items: Sequence[ItemResult]) -> list[Gap]:
    """Largest minus smallest group mean, by metric and split.

    The interval is simultaneous: every pair's Welch interval at level 0.05 / number of pairs, and
    the largest lower and upper limits among them. It covers the true range with at least 95 %
    although which groups are extreme was read off the data.
    """
    import numpy as np

    from whyfirst.stats.crossed import estimate

    found = []
    for (metric, split), rows in _parts(items).items():
        means = []
        for group, own in _by_group(rows).items():
            topics = np.array([row.topic or row.id for row in own])
            mean = estimate(np.array([[row.number for row in own]]), topics)
            distinct = len(set(topics.tolist()))
            means.append(_Mean(group, mean.mean, mean.variance, mean.df, distinct))
        # One item has a mean and no spread: it can be neither end of an interval.
        left_out = [mean.group for mean in means if mean.df <= 0]
        usable = [mean for mean in means if mean.df > 0]
        # One group has nothing to differ from.
        if len(usable) < 2:
            continue
        top, bottom = (pick(usable, key=lambda m: m.value) for pick in (max, min))
        # All pairs, since which two lie furthest apart was read off the data.
        pairs = [sorted(pair, key=lambda m: -m.value) for pair in combinations(usable, 2)]
        limits = [high.less(low, 0.05 / len(pairs)) for high, low in pairs]
        notes = [f"one scored item: {', '.join(left_out)}"] if left_out else []
        # Said, since items of one topic go together and the interval can't show it.
        single = [mean.group for mean in usable if mean.topics == 1]
        if single:
            notes.append(f"one topic, its items taken as independent: {', '.join(single)}")
        found.append(
            Gap(
                metric, split, (top.group, bottom.group), top.value - bottom.value,
                max(0.0, *(low for low, _ in limits)), min(1.0, max(high for _, high in limits)),
                len(usable), "; ".join(notes),
            )
        )  # fmt: skip
    return found


def gaps_to(items: Sequence[ItemResult], reference: str) -> list[Gap]:
    """Each group's share of passes minus the reference group's, by metric and split.

    Newcombe's hybrid score interval for two independent proportions (Newcombe 1998, method 10);
    one interval each, not simultaneous. For metrics of unit "proportion" whose items are one topic
    each. A part without a scored item of the reference gives none.
    """
    from whyfirst.stats.statistics import wilson

    found = []
    for (metric, split), rows in _parts(items).items():
        groups = _by_group(rows)
        if reference not in groups:
            continue
        # Wilson's limits and not the normal ones: resistance is near 1, where those leave [0, 1].
        base = wilson(sum(r.verdict == "pass" for r in groups[reference]), len(groups[reference]))
        for group, own in groups.items():
            if group == reference:
                continue
            share = wilson(sum(r.verdict == "pass" for r in own), len(own))
            value = share.value - base.value
            # Newcombe: the two shares' own half widths, on the sides that face each other.
            down = math.hypot(share.value - share.low, base.high - base.value)
            up = math.hypot(share.high - share.value, base.value - base.low)
            found.append(Gap(metric, split, (group, reference), value, value - down, value + up, 2))
    return found


def _parts(items: Iterable[ItemResult]) -> dict[tuple[str, str | None], list[ItemResult]]:
    """Scored items with a group, by metric and split."""
    parts: dict[tuple[str, str | None], list[ItemResult]] = {}
    for item in items:
        if item.score is not None and item.group is not None:
            parts.setdefault((item.benchmark, item.split), []).append(item)
    return parts


def _by_group(rows: Iterable[ItemResult]) -> dict[str, list[ItemResult]]:
    groups: dict[str, list[ItemResult]] = {}
    for row in rows:
        groups.setdefault(str(row.group), []).append(row)
    return groups
