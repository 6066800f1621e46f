"""A subset that covers: each next row is the one farthest from all chosen (k-center, greedy).

Sener and Savarese 2018, "Active Learning for Convolutional Neural Networks: A Core-Set Approach",
arXiv 1708.00489. Beside it `random`, the baseline any selector has to beat. Leaves out: the exact
k-center problem.
"""

from collections.abc import Sequence

import numpy as np

from whyfirst.data.transforms import SELECTORS, Row
from whyfirst.data.transforms.texts import words_at
from whyfirst.models.embed import Embed, lexical


@SELECTORS.enter(
    "coverage",
    paper="Sener and Savarese 2018, arXiv 1708.00489",
    needs="text or prompt; embeddings",
    tested="every planted cluster is covered where a random subset of the size misses some",
)
def coverage(
    rows: Sequence[Row], n: int, *, seed: int, embed: Embed = lexical, column: str = "prompt"
) -> list[int]:
    """`n` rows spread over the embedding space.

    Args:
        column: the text that is embedded.

    Raises:
        ValueError: a row without it.
    """
    points = embed(words_at(rows, column))
    chosen = [int(np.random.default_rng(seed).integers(len(points)))]
    nearest = np.full(len(points), np.inf)
    while len(chosen) < min(n, len(points)):
        nearest = np.minimum(nearest, ((points - points[chosen[-1]]) ** 2).sum(1))
        nearest[chosen] = -1
        chosen.append(int(nearest.argmax()))
    return sorted(chosen)


@SELECTORS.enter("random", paper="", needs="nothing", tested="every row is as likely as any other")
def random(rows: Sequence[Row], n: int, *, seed: int) -> list[int]:
    """`n` rows drawn without replacement."""
    drawn = np.random.default_rng(seed).permutation(len(rows))[:n]
    return sorted(drawn.tolist())
