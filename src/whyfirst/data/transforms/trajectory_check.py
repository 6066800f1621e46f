"""MAG-V's check of trajectories without a judge: by those of questions asked another way.

"MAG-V: A Multi-Agent Framework for Synthetic Data Generation and Verification", arXiv 2412.04494.
Rows have the features of their trajectory (the generator `magv` writes them); those that people
judged have `right` too, and say by their nearest neighbours which of the others are kept. Leaves
out: the paper's other classifiers.
"""

from collections.abc import Iterable, Iterator
from random import Random

import numpy as np

from whyfirst.data.transforms import TRANSFORMS, LeftOut, Row


@TRANSFORMS.enter(
    "trajectory_check",
    paper="Sengupta et al. 2024, arXiv 2412.04494",
    needs="features; right (true or false) on some rows",
    tested="planted wrong trajectories are told at .9 or better",
    columns={"features": list[float]},
    may_have={"right": bool | None},
    streams=False,
)
def trajectory_check(
    rows: Iterable[Row], rng: Random, *, left_out: LeftOut, neighbours: int = 3
) -> Iterator[Row]:
    """The rows whose nearest judged rows are mostly right; judged ones by their judgement.

    Raises:
        ValueError: no row is judged.
    """
    every = list(rows)
    judged = [row for row in every if row.get("right") is not None]
    if not judged:
        raise ValueError("no row has `right`: some trajectories must be judged by people")
    known = np.array([row["features"] for row in judged], dtype=float)
    scale = np.maximum(known.std(axis=0), 1e-9)
    labels = np.array([bool(row["right"]) for row in judged])
    for row in every:
        right = row.get("right")
        if right is None:
            away = np.linalg.norm((known - np.array(row["features"])) / scale, axis=1)
            nearest = np.argsort(away, kind="stable")[:neighbours]
            right = labels[nearest].mean() > 0.5
        if right:
            yield {**row, "right": True}
        else:
            left_out(row, "its trajectory is like those judged wrong")
