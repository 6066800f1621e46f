"""ISA: a subset chosen by how much each item adds to the entropy of the whole.

Khera et al. 2024, "Efficient Alignment of Large Language Models via Data Sampling", arXiv
2411.10545. Items are embedded and fitted with a mixture of Gaussians; an item's information is the
entropy of the clusters' shares less what it would be without the item. A patent application is
pending on selecting alignment data by leave-one-out entropy change (US-20260073236-A1): decide for
yourself whether you may use this; `coverage` and `random` are selectors it does not concern. How
items are drawn from their information is not published: here without replacement, at standardised
weights. Leaves out: choosing the number of clusters.
"""

from collections.abc import Sequence

import numpy as np

from whyfirst.data.transforms import SELECTORS, Row
from whyfirst.data.transforms.texts import words_at
from whyfirst.models.embed import Embed, Floats, lexical

_ROUNDS, _SMALLEST = 60, 1e-6


@SELECTORS.enter(
    "information",
    paper="Khera et al. 2024, arXiv 2411.10545 (patent application pending: US-20260073236-A1)",
    needs="text or prompt; embeddings",
    tested="clusters of 90 and 10: -0.0022 for an item of the large one, +0.0204 of the small one",
)
def information(
    rows: Sequence[Row],
    n: int,
    *,
    seed: int,
    embed: Embed = lexical,
    clusters: int = 2,
    column: str = "prompt",
) -> list[int]:
    """`n` rows, those that add to the entropy likelier than others.

    Args:
        clusters: components of the mixture.
        column: the text that is embedded.

    Raises:
        ValueError: a row without it.
    """
    rng = np.random.default_rng(seed)
    which = mixture(embed(words_at(rows, column)), clusters, rng)
    gain = entropy_changes(np.bincount(which, minlength=clusters))[which]
    spread = gain.std() or 1.0
    # Gumbel's trick: the n highest are a draw without replacement at weights exp(gain / spread).
    keys = (gain - gain.mean()) / spread + rng.gumbel(size=len(gain))
    return sorted(np.argsort(-keys)[:n].tolist())


def entropy_changes(counts: np.ndarray) -> Floats:
    """For each cluster: entropy of the shares, less the entropy without one of its items (nats)."""

    def entropy(of: np.ndarray) -> float:
        share = of[of > 0] / of.sum()
        return float(-(share * np.log(share)).sum())

    one_less = [counts - (np.arange(len(counts)) == k) for k in range(len(counts))]
    return np.array([entropy(counts) - entropy(c) if c.min() >= 0 else 0.0 for c in one_less])


def mixture(points: Floats, clusters: int, rng: np.random.Generator) -> np.ndarray:
    """The likelier component of each point in a mixture of spherical Gaussians (EM), shape (n,)."""
    centres = points[_far_apart(points, clusters, rng)]
    share, variance = np.full(clusters, 1 / clusters), np.full(clusters, points.var() + _SMALLEST)
    for _ in range(_ROUNDS):
        distance = ((points[:, None, :] - centres[None]) ** 2).sum(-1)
        logp = np.log(share) - distance / (2 * variance) - points.shape[1] / 2 * np.log(variance)
        weight = np.exp(logp - logp.max(1, keepdims=True))
        weight /= weight.sum(1, keepdims=True)
        total = weight.sum(0) + _SMALLEST
        centres = weight.T @ points / total[:, None]
        variance = (weight * distance).sum(0) / (total * points.shape[1]) + _SMALLEST
        share = total / total.sum()
    return np.asarray(weight.argmax(1))


def _far_apart(points: Floats, k: int, rng: np.random.Generator) -> list[int]:
    chosen = [int(rng.integers(len(points)))]
    while len(chosen) < k:
        nearest = ((points[:, None, :] - points[chosen][None]) ** 2).sum(-1).min(1)
        chosen.append(int(nearest.argmax()))
    return chosen


def plateau(sizes: Sequence[int], scores: Sequence[float]) -> tuple[float, float, float]:
    """(final, first, scale) of the law score(n) = final - (final - first) exp(-n / scale)."""
    from scipy.optimize import curve_fit

    def law(n: Floats, final: float, first: float, scale: float) -> Floats:
        return np.asarray(final - (final - first) * np.exp(-n / scale))

    start = (max(scores), min(scores), float(np.median(sizes)))
    fitted, _ = curve_fit(law, np.asarray(sizes, float), np.asarray(scores, float), p0=start)
    return float(fitted[0]), float(fitted[1]), float(fitted[2])
