"""How far two lists of numbers about the same things agree.

Leaves out: intervals.
"""

import math
from collections.abc import Sequence


def correlation(ours: Sequence[float], theirs: Sequence[float], ranks: bool = False) -> float:
    """Pearson's, or of the ranks Spearman's, correlation; nan where either has no spread."""
    import numpy as np
    from scipy.stats import rankdata

    x, y = (rankdata(v) if ranks else np.asarray(v, dtype=float) for v in (ours, theirs))
    if x.std() == 0 or y.std() == 0:
        return math.nan
    return float(np.corrcoef(x, y)[0, 1])


def concordance(more: Sequence[float], signs: Sequence[int]) -> float:
    """(tau + 1) / 2 of a property's differences and preferences; ties of either count half."""
    agree = [(m > 0) - (m < 0) for m in more]
    return sum((1 + a * s) / 2 for a, s in zip(agree, signs, strict=True)) / len(agree)
