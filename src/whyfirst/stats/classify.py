"""Two classes told apart: logistic regression, and how well a score parts them.

Leaves out: more than two classes, and choosing the penalty.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


def logistic(x: Any, positive: Flags, iterations: int = 300) -> Floats:
    """Weights (D + 1,) of a logistic regression, the intercept last.

    Minimises sum log(1 + exp(-y(w.x + b))) + |w|^2/2 over y of 1 and -1; the intercept is free.

    Args:
        x: (N, D), an array or a sparse matrix.
        positive: (N,).
    """
    from scipy.optimize import minimize
    from scipy.special import expit

    y = np.where(positive, 1.0, -1.0)

    def loss(weights: Floats) -> tuple[float, Floats]:
        margin = y * (x @ weights[:-1] + weights[-1])
        pull = -y * expit(-margin)
        gradient = np.append(x.T @ pull + weights[:-1], pull.sum())
        value = np.logaddexp(0.0, -margin).sum() + 0.5 * weights[:-1] @ weights[:-1]
        return float(value), gradient

    # From zero: the loss is convex, so the start decides only how long it takes.
    start = np.zeros(x.shape[1] + 1)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": iterations})
    weights: Floats = found.x
    return weights


def auroc(scores: Floats, positive: Flags) -> float:
    """Probability that a positive item scores above a negative one, ties counted half.

    The Mann-Whitney statistic over the number of pairs (Hanley and McNeil 1982); nan without
    items of both kinds.
    """
    from scipy.stats import rankdata

    n, m = int(positive.sum()), int((~positive).sum())
    if not n or not m:
        return float("nan")
    ranks = rankdata(scores)
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * m))
