"""How much of a multiple-choice set the options alone give away.

Chandak et al. 2025, arXiv 2507.02856: a classifier that never sees the question. Here a conditional
logit over words and relative length, cross-validated by question. Leaves out: larger classifiers,
which find more.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from whyfirst.models.embed import lexical
from whyfirst.stats.statistics import Interval, wilson

Floats = npt.NDArray[np.float64]


def choices_only(
    choices: Sequence[Sequence[str]], right: Sequence[int], folds: int = 5, seed: int = 0
) -> Interval:
    """The held-out share of questions whose right option is picked from the options alone.

    Args:
        choices: the options of each question, at least two.
        right: the place of the right one.
    """
    features = [_features(options) for options in choices]
    fold = np.random.default_rng(seed).permutation(len(choices)) % folds
    hits = 0
    for k in range(folds):
        train = [at for at in range(len(choices)) if fold[at] != k]
        weights = _fitted([features[at] for at in train], [right[at] for at in train])
        for at in np.flatnonzero(fold == k).tolist():
            hits += int((features[at] @ weights).argmax()) == right[at]
    return wilson(hits, len(choices))


def _features(options: Sequence[str]) -> Floats:
    """Words, and length among the options of the question; (options, features)."""
    length = np.array([len(option) for option in options], dtype=np.float64)
    order = np.stack([length == length.max(), length == length.min(), length / length.mean()])
    return np.hstack([lexical(options), order.T])


def _fitted(features: Sequence[Floats], right: Sequence[int], steps: int = 200) -> Floats:
    """Weights by gradient ascent on the softmax over each question's options, with decay."""
    weights = np.zeros(features[0].shape[1])
    for _ in range(steps):
        gradient = -0.01 * weights
        for rows, best in zip(features, right, strict=True):
            share = np.exp(rows @ weights - (rows @ weights).max())
            gradient += (rows[best] - (share / share.sum()) @ rows) / len(right)
        weights = weights + gradient
    return weights
