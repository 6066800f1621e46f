"""One model's value under one metric, from its items.

Leaves out: several seeds and arms (statistics.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from whyfirst.evaluate.benchmark import Metric
from whyfirst.evaluate.item import ItemResult


@dataclass(frozen=True)
class Score:
    """A value with its 95 % interval, and bounds over the unscored items; all are fractions.

    `low` and `high` are Wilson's limits for a proportion of passes; for a mean score they are
    those of its mean over topics. All are None where nothing could be scored.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    unscored: int
    unscored_rate: float
    worst: float
    best: float


def score(metric: Metric, items: Sequence[ItemResult]) -> Score:
    """The value of some items under a metric."""
    from whyfirst.stats.scores import Columns
    from whyfirst.stats.statistics import mean_over_seeds, wilson

    found = [item.score for item in items if item.score is not None]
    missing = len(items) - len(found)
    value = low = high = None
    # Wilson's interval takes items as independent, which they are where each is its own topic.
    topics = [item.topic or item.id for item in items]
    if found and metric.unit == "proportion" and len(set(topics)) == len(items):
        value, low, high = wilson(sum(item.verdict == "pass" for item in items), len(found))
    elif found:
        # Items about one topic are no independent draws.
        columns = Columns()
        for item in items:
            columns.add(0, vars(item))
        value, low, high = mean_over_seeds(columns.whole)
    return Score(
        value=value, low=low, high=high, n=len(found), unscored=missing,
        unscored_rate=missing / len(items),
        worst=sum(found) / len(items), best=(sum(found) + missing) / len(items),
    )  # fmt: skip
