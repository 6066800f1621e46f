"""The same gap in several training runs: its mean, with the runs and the topics as samples.

Leaves out: gaps of one run (`gaps`), and differences between arms (statistics.contrast).
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from whyfirst.evaluate.gaps import Gap, Values
from whyfirst.stats.crossed import Floats, of_sum


def over_seeds(of_seeds: Sequence[Sequence[Gap]]) -> list[Gap]:
    """The mean of the same gap in several runs, with an interval over the runs and its topics.

    Of two groups: which two lie widest apart may differ from run to run. A gap that a run gives the
    other way round counts with its sign turned. Runs whose gaps are all equal say nothing of
    others, so they give none. Where a group has one topic nothing is known of how far others would
    lie from it, and the limits are -1 and 1.

    Args:
        of_seeds: each run's gaps.
    """
    runs: dict[tuple[str, str | None, tuple[str, str]], dict[int, Gap]] = {}
    for run, gaps in enumerate(of_seeds):
        for gap in gaps:
            if gap.groups != 2:
                continue
            back = gap.between[::-1]
            # A range names the larger group first, in each run: apart, both orders would have
            # runs above 0 alone.
            if (gap.metric, gap.split, back) in runs:
                gap = replace(gap, between=back, value=-gap.value, of=gap.of[::-1])
            # The first, however many units it has an interval over.
            runs.setdefault((gap.metric, gap.split, gap.between), {}).setdefault(run, gap)
    return [
        _mean([*by_run.values()])
        for by_run in runs.values()
        if len({gap.value for gap in by_run.values()}) > 1
    ]


def _mean(gaps: Sequence[Gap]) -> Gap:
    from scipy.special import stdtrit

    each = np.array([gap.value for gap in gaps])
    groups = [_grid(group) for group in zip(*(gap.of for gap in gaps), strict=True)]
    found = of_sum(each, groups)
    value, note = float(each.mean()), f"interval over {len(gaps)} seeds and the topics"
    low, high = -1.0, 1.0
    if found.df > 0.0:
        reach = float(stdtrit(found.df, 0.975)) * math.sqrt(found.variance)
        low, high = max(low, value - reach), min(high, value + reach)
    else:
        single = [
            one.group
            for one, (_, topics) in zip(gaps[0].of, groups, strict=True)
            if len(set(topics.tolist())) == 1
        ]
        note = f"one topic, so that nothing is known of others: {', '.join(single)}"
    return replace(gaps[0], value=value, low=low, high=high, note=note)


def _grid(runs: Sequence[Values]) -> tuple[Floats, npt.NDArray[Any]]:
    """A group's values in several runs, (S, I) with nan where a run lacks one, and the topics."""
    topics = {name: topic for run in runs for name, (topic, _) in run.by_name.items()}
    lacks = ("", math.nan)
    values = [[run.by_name.get(name, lacks)[1] for name in topics] for run in runs]
    return np.array(values), np.array([*topics.values()])
