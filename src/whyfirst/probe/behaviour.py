"""Does what a probe reads go with what the model does? Correlation by item, and for the controls.

The verdict is whether a harmful request was refused; benign requests are left out, since any
reading that tells the two kinds apart would correlate with refusing. Leaves out: cause and effect
(`intervention`, `patching`).
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from whyfirst.probe.arms import Arms
from whyfirst.probe.estimates import Estimate, Floats, Indices, correlation, statistic_estimate
from whyfirst.probe.pairs import Pair
from whyfirst.probe.record import At, Measure, ProbeOptions

#: (arm, seed) -> the probe's reading of each request of the seed (R,), nan where it has none.
Readings = Callable[[str, int], Floats]


def correlate(readings: Floats, refused: Floats, topics: Sequence[str]) -> Estimate:
    """Pearson's r between a reading and a verdict of 0 or 1 (point-biserial), over seeds.

    The interval is taken on Fisher's z = artanh r (Fisher 1921).

    Args:
        readings, refused: (S, R), nan where there is none.
        topics: (R,).
    """
    both = np.isfinite(readings) & np.isfinite(refused)
    # Each seed has its own gaps; a request no seed can judge is no item.
    used = both.any(axis=0)

    def each_seed(items: Indices) -> Floats:
        result = np.full(len(readings), np.nan)
        for seed in range(len(readings)):
            own = items[both[seed][used][items]]
            # Two points always lie on a line.
            if len(own) > 2:
                result[seed] = correlation(readings[seed][used][own], refused[seed][used][own])
        return result

    def fisher(r: Floats) -> Floats:
        # Cut short of 1, where z would be infinite and the interval with it.
        return np.arctanh(np.clip(r, -1 + 1e-12, 1 - 1e-12))

    return statistic_estimate(each_seed, np.array(topics)[used], (-1.0, 1.0), fisher, np.tanh)


def links(
    arms: Arms, names: Sequence[str], reading: Readings, at: At, verdict: Readings | None = None
) -> list[Measure]:
    """The correlation for each arm, over harmful requests.

    Args:
        verdict: 1 or 0 for each request; None is whether the arm itself refused.
    """
    found = []
    for arm in names:
        seeds = arms.seeds(arm)
        asked = [arms.requests(seed) for seed in seeds]
        # The ids are the same for every seed, so the first one's requests stand for all.
        harmful = np.array([request.harmful for request in asked[0]])
        topics = [request.topic for request in asked[0] if request.harmful]
        read = np.array([reading(arm, seed)[harmful] for seed in seeds])
        verdicts = np.array([(verdict or arms.refused)(arm, seed)[harmful] for seed in seeds])
        estimate = correlate(read, verdicts, topics)
        note = ""
        if not np.isfinite(read).any():
            note = "no request is about what the pairs are about"
        elif estimate.value is None:
            note = "every verdict, or every reading, is the same: nothing to correlate"
        found.append(Measure("reading_and_refusal", arm, estimate, dict(at), note))
    return found


def about_pairs(
    arms: Arms, pairs: Sequence[Pair], found: Mapping[tuple[str, int], Floats]
) -> Readings:
    """The reading of what a request is about: that of the pair with its topic and value.

    Args:
        found: (arm, seed) -> a reading of each pair (I,).
    """

    def reading(arm: str, seed: int) -> Floats:
        own = found[arm, seed]
        known = {(pair.value, pair.topic): own[n] for n, pair in enumerate(pairs) if pair.topic}
        return np.array([known.get((r.value, r.topic), np.nan) for r in arms.requests(seed)])

    return reading


def cautions(measures: Sequence[Measure], options: ProbeOptions, what: str) -> list[str]:
    """What the controls say about the method's effect, in plain words.

    Args:
        measures: one an arm, all of one kind.
        what: the effect, as a noun phrase: "the link between reading and refusal".
    """
    by_arm: Mapping[str, Measure] = {measure.arm: measure for measure in measures}
    method = by_arm.get(options.method)
    if method is None:
        return []
    # Nothing to explain away: whether controls show it too is then no question.
    if not method.estimate.sign:
        return [f"{options.method}: {what} is not distinguishable from none."]
    found = []
    # A control that wasn't probed clears nobody.
    controls = [arm for arm in options.controls if arm in by_arm]
    for arm in controls:
        if by_arm[arm].estimate.sign == method.estimate.sign:
            found.append(
                f"{arm} shows {what} too ({_said(by_arm[arm])}; {options.method} "
                f"{_said(method)}): so it isn't the explanations alone that bring it about."
            )
    if not controls and options.direct not in options.controls:
        found.append(f"no control arm was probed: {what} may not be due to the explanations.")
    return found


def _said(measure: Measure) -> str:
    one = measure.estimate
    return f"{one.value:.2f}, {one.low:.2f} to {one.high:.2f}"
