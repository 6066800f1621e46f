"""Dense clusters of rows, and what belongs to none.

Leaves out: choosing the distance and the least number of neighbours.
"""

import numpy as np
import numpy.typing as npt

NOISE = -1


def clusters(vectors: npt.NDArray[np.float64], eps: float, least: int) -> list[int]:
    """DBSCAN (Ester et al. 1996) by cosine distance: a cluster's number for each row, or `NOISE`.

    Args:
        vectors: (n, d), each of length one.
        eps: distance up to which two rows are neighbours.
        least: neighbours, itself among them, that make a row a core.
    """
    near = [np.flatnonzero(1 - vectors @ row <= eps + 1e-9).tolist() for row in vectors]
    labels = [NOISE] * len(near)
    number = 0
    for start, own in enumerate(near):
        if labels[start] != NOISE or len(own) < least:
            continue
        reached = [start]
        while reached:
            at = reached.pop()
            if labels[at] == NOISE:
                labels[at] = number
                if len(near[at]) >= least:
                    reached += [n for n in near[at] if labels[n] == NOISE]
        number += 1
    return labels
