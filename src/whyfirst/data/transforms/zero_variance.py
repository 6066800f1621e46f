"""Prompts whose sampled responses all got the same reward teach a group objective nothing.

The filter of MASA (Kim et al. 2025, "Meta-Awareness Enhances Reasoning Models", arXiv 2510.03259)
and DAPO (Yu et al. 2025, arXiv 2503.14476), applied before training. Leaves out: filtering anew as
the policy changes.
"""

from collections.abc import Iterable, Iterator
from random import Random

from whyfirst.data.transforms import TRANSFORMS, LeftOut, Row


@TRANSFORMS.enter(
    "zero_variance",
    paper="Yu et al. 2025, arXiv 2503.14476",
    needs="rewards (one a sampled response)",
    tested="equal rewards go, any difference stays",
    columns={"rewards": list[float | None]},
    streams=True,
)
def zero_variance(
    rows: Iterable[Row], rng: Random, *, left_out: LeftOut, least: float = 0.0
) -> Iterator[Row]:
    """The rows whose rewards spread over more than `least`."""
    for row in rows:
        rewards = [reward for reward in row["rewards"] if reward is not None]
        if rewards and max(rewards) - min(rewards) > least:
            yield row
        else:
            left_out(row, "all of its responses have the same reward")
