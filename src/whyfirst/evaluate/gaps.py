"""Differences between groups of items, and means: of pairs, of the widest two, to one of them.

Items about one topic are taken together (the crossed model's variance with one seed); an audit's
have a second interval, over items, for whoever claims nothing of other topics. Leaves out:
differences between arms (statistics.contrast). A gap is of one seed's items; `gaps_over_seeds`
takes those of several together. Formulas and sources: docs/benchmarks.md.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import combinations, pairwise
from typing import Any

from whyfirst.evaluate.item import ItemResult

ITEMS, TOPICS = "items", "topics"
Of = Callable[[ItemResult], str]
"""What an item is one of: its topic, its template, its own id."""
UNITS: Mapping[str, Of] = {
    TOPICS: lambda item: item.topic or item.id, ITEMS: lambda item: item.id,
}  # fmt: skip


@dataclass(frozen=True)
class Gap:
    """A difference between two groups' mean scores, as fractions with a 95 % interval.

    Args:
        metric: the items' metric.
        split: which part of the data; None where the metric has no splits.
        between: the two groups, the first minus the second.
        groups: how many groups were compared; for more than two the interval covers all pairs.
        note: what limits it; "" otherwise.
        of: the values whose mean it is, or whose means it is the difference of.
    """

    metric: str
    split: str | None
    between: tuple[str, str]
    value: float
    low: float
    high: float
    groups: int
    note: str = ""
    of: tuple["Values", ...] = field(default=(), repr=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        """All but the values it is made of, which are the items' own."""
        return {name: value for name, value in vars(self).items() if name != "of"}


@dataclass(frozen=True)
class Values:
    """Values of one run that a mean is of: (topic, value) by a name that is the same in each."""

    group: str
    by_name: Mapping[str, tuple[str, float]]


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


Gaps = Callable[[Sequence[ItemResult]], list[Gap]]


def paired_gaps(*between: tuple[str, str], **more: Of) -> Gaps:
    """The mean difference between two conditions, pair by pair, by metric and split.

    What is before the last slash of an item's id pairs it with the same one under the other
    condition, its group. An interval over topics, which is what a claim about other topics rests
    on, and one over items where the two differ. Pairs of which one is unscored are left out.

    Args:
        more: what else is drawn and a claim may be about (``templates``), by the first of a pair.
    """

    def gaps(items: Sequence[ItemResult]) -> list[Gap]:
        found = []
        for (metric, split), rows in _parts(items).items():
            pairs: dict[str, dict[str, ItemResult]] = {}
            for row in rows:
                pairs.setdefault(row.id.rpartition("/")[0], {})[str(row.group)] = row
            for two in between:
                both = [
                    [pair[name] for name in two] for pair in pairs.values() if {*two} <= {*pair}
                ]
                values = [one.number - other.number for one, other in both]
                for unit, of in _apart([one for one, _ in both], more):
                    named = {
                        one.id.rpartition("/")[0]: (of(one), value)
                        for (one, _), value in zip(both, values, strict=True)
                    }
                    note = f"{len(both)} pairs, interval over {unit}"
                    found.append(_mean_gap(metric, split, two, named, note))
        return found

    return gaps


def mean_gaps(**chance: float) -> Gaps:
    """Each metric's mean by split, less what chance would give, over topics and over items.

    Args:
        chance: by metric; 0 for the others.
    """

    def gaps(items: Sequence[ItemResult]) -> list[Gap]:
        found = []
        for (metric, split), rows in _parts(items, grouped=False).items():
            less = chance.get(metric, 0.0)
            for unit, of in _apart(rows, {}):
                note = f"{len(rows)} items, interval over {unit}"
                between = ("mean", f"chance {less:g}" if less else "nothing")
                named = {row.id: (of(row), row.number - less) for row in rows}
                found.append(_mean_gap(metric, split, between, named, note))
        return found

    return gaps


def group_gap(
    items: Sequence[ItemResult], between: tuple[str, str], metric: str, split: str | None
) -> list[Gap]:
    """One group's mean minus another's, its items independent of the other's: Welch's interval.

    None where a group has fewer than two items.
    """
    groups = _by_group(items)
    if min(len(groups.get(name, ())) for name in between) < 2:
        return []
    one, other = (_mean(name, groups[name], UNITS[ITEMS]) for name in between)
    low, high = one.less(other, 0.05)
    note = f"{len(items)} items, interval over items"
    value = one.value - other.value
    of = tuple(_values(name, groups[name], UNITS[ITEMS]) for name in between)
    return [Gap(metric, split, between, value, max(-1.0, low), min(1.0, high), 2, note, of)]


def momentum(items: Sequence[ItemResult], metric: str, what: str = "fact") -> list[Gap]:
    """P(right | the one before was right) - P(right | it was wrong), along each topic's items.

    Over topics: the mean over those that have both. Over items: all transitions, taken as
    independent. None where no topic has both.

    Args:
        items: in the order in which they follow each other.
        what: an item is.
    """
    between = (f"after a right {what}", "after a wrong one")
    after: list[ItemResult] = []
    topics: dict[str, list[ItemResult]] = {}
    for item in items:
        topics.setdefault(str(item.topic), []).append(item)
    differences = {}
    for topic, rows in topics.items():
        mine = [
            replace(
                now, score=float(now.verdict == "pass"), group=between[before.verdict != "pass"]
            )
            for before, now in pairwise(rows)
            # What comes before an unscored one doesn't come before the next.
            if before.score is not None and now.score is not None
        ]
        after += mine
        one, other = ([r.number for r in mine if r.group == name] for name in between)
        if one and other:
            differences[topic] = (topic, sum(one) / len(one) - sum(other) / len(other))
    if not differences:
        return []
    note = f"{len(differences)} topics that have both"
    return [
        _mean_gap(metric, "momentum", between, differences, note),
        *group_gap(after, between, metric, "momentum"),
    ]


def _apart(rows: Sequence[ItemResult], more: Mapping[str, Of]) -> Iterator[tuple[str, Of]]:
    """The units that rows differ in, each way of taking them together once."""
    seen: set[tuple[int, ...]] = set()
    for unit, of in ({TOPICS: UNITS[TOPICS]} | dict(more) | {ITEMS: UNITS[ITEMS]}).items():
        places: dict[str, int] = {}
        # By which rows go together, not by what they are called.
        together = tuple(places.setdefault(of(row), len(places)) for row in rows)
        if rows and together not in seen and (unit == TOPICS or len(places) > 1):
            seen.add(together)
            yield unit, of


def _mean_gap(
    metric: str, split: str | None, between: tuple[str, str],
    named: Mapping[str, tuple[str, float]], note: str,
) -> Gap:  # fmt: skip
    """A mean of differences, each by its name with what it goes together with."""
    import numpy as np

    from whyfirst.stats.crossed import estimate
    from whyfirst.stats.statistics import two_sided

    names, values = zip(*named.values(), strict=True)
    result = estimate(np.array([values]), np.array(names))
    low, high, _ = two_sided(result, 1.0)
    of = (Values("all", named),)
    return Gap(metric, split, between, result.mean, low, high, 2, note, of)


def _values(group: str, rows: Sequence[ItemResult], of: Of) -> Values:
    return Values(group, {row.id: (of(row), row.number) for row in rows})


def range_gaps(items: Sequence[ItemResult], units: Sequence[str] = (TOPICS,)) -> list[Gap]:
    """Largest minus smallest group mean, by metric and split, an interval a unit.

    The interval is simultaneous: every pair's Welch interval at level 0.05 / number of pairs, and
    the largest lower and upper limits among them. It covers the true range with at least 95 %
    although which groups are extreme was read off the data.
    """
    found = []
    for (metric, split), rows in _parts(items).items():
        apart = dict(_apart(rows, {}))
        for unit in units:
            if unit in apart:
                found += _widest(metric, split, rows, unit, len(units) > 1)
    return found


ranges: Gaps = partial(range_gaps, units=(TOPICS, ITEMS))


def _mean(group: str, rows: Sequence[ItemResult], of: Of) -> _Mean:
    import numpy as np

    from whyfirst.stats.crossed import estimate

    names = np.array([of(row) for row in rows])
    mean = estimate(np.array([[row.number for row in rows]]), names)
    return _Mean(group, mean.mean, mean.variance, mean.df, len(set(names.tolist())))


def _widest(
    metric: str, split: str | None, rows: Sequence[ItemResult], unit: str, named: bool
) -> list[Gap]:
    groups = _by_group(rows)
    means = [_mean(group, own, UNITS[unit]) for group, own in groups.items()]
    # One item has a mean and no spread: it can be neither end of an interval.
    left_out = [mean.group for mean in means if mean.df <= 0]
    usable = [mean for mean in means if mean.df > 0]
    # One group has nothing to differ from.
    if len(usable) < 2:
        return []
    top, bottom = (pick(usable, key=lambda m: m.value) for pick in (max, min))
    # All pairs, since which two lie furthest apart was read off the data.
    pairs = [sorted(pair, key=lambda m: -m.value) for pair in combinations(usable, 2)]
    limits = [high.less(low, 0.05 / len(pairs)) for high, low in pairs]
    notes = [f"one scored item: {', '.join(left_out)}"] if left_out else []
    # Said, since items of one topic go together and the interval can't show it.
    single = [mean.group for mean in usable if mean.topics == 1]
    if single and unit == TOPICS:
        notes.append(f"one topic, its items taken as independent: {', '.join(single)}")
    notes += [f"interval over {unit}"] if named else []
    return [Gap(
        metric, split, (top.group, bottom.group), top.value - bottom.value,
        max(0.0, *(low for low, _ in limits)), min(1.0, max(high for _, high in limits)),
        len(usable), "; ".join(notes),
        tuple(_values(one.group, groups[one.group], UNITS[unit]) for one in (top, bottom)),
    )]  # fmt: skip


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
            between = (group, reference)
            passed = tuple(_passes(name, groups[name]) for name in between)
            low, high = value - down, value + up
            found.append(Gap(metric, split, between, value, low, high, 2, "", passed))
    return found


def _passes(group: str, rows: Sequence[ItemResult]) -> Values:
    of = UNITS[TOPICS]
    return Values(group, {row.id: (of(row), float(row.verdict == "pass")) for row in rows})


def _parts(
    items: Iterable[ItemResult], grouped: bool = True
) -> dict[tuple[str, str | None], list[ItemResult]]:
    """Scored items, of which each has a group, by metric and split."""
    parts: dict[tuple[str, str | None], list[ItemResult]] = {}
    for item in items:
        if item.score is not None and (item.group is not None or not grouped):
            parts.setdefault((item.benchmark, item.split), []).append(item)
    return parts


def _by_group(rows: Iterable[ItemResult]) -> dict[str, list[ItemResult]]:
    groups: dict[str, list[ItemResult]] = {}
    for row in rows:
        groups.setdefault(str(row.group), []).append(row)
    return groups
