"""What steering gains and what it costs, over coefficients: the range in which it pays.

Wolf et al. 2024, "Tradeoffs Between Alignment and Helpfulness in Language Models with
Representation Engineering", arXiv 2401.16332: alignment grows about linearly in the coefficient,
helpfulness falls about quadratically. A statistic over the items of a sweep, each evaluated at
every coefficient (an arm with the edit `steer` each). Leaves out: making the sweep.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from whyfirst.stats.statistics import Interval

Floats = npt.NDArray[np.float64]
_DRAWS = 1000


class Tradeoff(NamedTuple):
    """Fitted over coefficients r, each with a 95 % interval over items.

    Attributes:
        slope: b of alignment = a + b r.
        curvature: d of helpfulness = c + e r - d r^2; positive where it falls either way.
        first_order: e, 0 where steering is orthogonal to what helpfulness needs.
        break_even: the coefficient b / d up to which the linear gain exceeds the quadratic loss;
            NaN where nothing is gained, or nothing lost.
    """

    slope: Interval
    curvature: Interval
    first_order: Interval
    break_even: Interval


def tradeoff(
    coefficients: Floats, alignment: Floats, helpfulness: Floats, seed: int = 0
) -> Tradeoff:
    """Fit both curves, and resample items.

    Args:
        coefficients: (C,), at least three different ones.
        alignment, helpfulness: (C, items), scores in [0, 1]; their items may differ.
    """
    rng = np.random.default_rng(seed)
    draws = [
        _fit(coefficients, _resampled(alignment, rng), _resampled(helpfulness, rng))
        for _ in range(_DRAWS)
    ]
    value = _fit(coefficients, alignment.mean(axis=1), helpfulness.mean(axis=1))
    table = np.array(draws)
    intervals = []
    for at, one in enumerate(value):
        known = table[:, at][np.isfinite(table[:, at])]
        low, high = np.quantile(known, (0.025, 0.975)) if known.size else (np.nan, np.nan)
        intervals.append(Interval(one, float(low), float(high)))
    return Tradeoff(*intervals)


def _resampled(scores: Floats, rng: np.random.Generator) -> Floats:
    """Means over items drawn with replacement, the same ones at every coefficient."""
    return np.asarray(scores[:, rng.integers(scores.shape[1], size=scores.shape[1])].mean(axis=1))


def _fit(r: Floats, alignment: Floats, helpfulness: Floats) -> tuple[float, float, float, float]:
    slope = float(np.polyfit(r, alignment, 1)[0])
    square, first, _ = (float(x) for x in np.polyfit(r, helpfulness, 2))
    even = slope / -square if slope > 0 and square < 0 else float("nan")
    return slope, -square, first, even
