"""How a movement went that was asked for: along the way, and across it.

Chang et al. 2025, arXiv 2505.23816. Leaves out: what the axes are.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class Steered(NamedTuple):
    """How a movement went.

    Attributes:
        error: distance of the end from the goal.
        miscalibration: the error along the way asked for, over its length.
        side_effects: the share of the movement that lies across it, in [0, 1].
    """

    error: float
    miscalibration: float
    side_effects: float


def steered(start: Floats, goal: Floats, end: Floats) -> Steered:
    """From the places of source, goal and end, each (attributes,); start and goal differ."""
    way, off = goal - start, end - goal
    along = float(off @ way) / float(way @ way)
    across = float(np.linalg.norm(off - along * way))
    moved = float(np.linalg.norm(end - start))
    side = min(1.0, across / moved) if moved > 0 else 0.0
    return Steered(float(np.linalg.norm(off)), abs(along), side)
