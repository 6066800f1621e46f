"""Ratings of single responses as preferences between them, and how often that contradicts rankings.

Bansal et al. 2023, "Peering Through Preferences: Unraveling Feedback Acquisition for Aligning Large
Language Models", arXiv 2308.15812: ratings and rankings by the same people disagree in some 60 %.
Leaves out: acquiring either.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from random import Random
from typing import Literal

from whyfirst.data.transforms import TRANSFORMS, LeftOut, Row, Said


@TRANSFORMS.enter(
    "ratings_to_pairs",
    paper="Bansal et al. 2023, arXiv 2308.15812",
    needs="prompt, responses, ratings",
    tested="every pair of unequal ratings once, the higher one chosen, the margin their difference",
    columns={"prompt": Said, "responses": list[Said], "ratings": list[float]},
    streams=True,
)
def ratings_to_pairs(
    rows: Iterable[Row],
    rng: Random,
    *,
    left_out: LeftOut,
    least: float = 0.0,
) -> Iterator[Row]:
    """A pair for each two responses whose ratings differ by more than `least`.

    Args:
        least: difference of ratings up to which two responses are a tie, and left out.
    """
    for row in rows:
        if len(row["responses"]) != len(row["ratings"]):
            left_out(row, "not one rating for each response")
            continue
        for i, j in combinations(range(len(row["responses"])), 2):
            margin = row["ratings"][i] - row["ratings"][j]
            if abs(margin) <= least:
                left_out(row, "a tie of ratings")
                continue
            better, worse = (i, j) if margin > 0 else (j, i)
            yield {
                "prompt": row["prompt"],
                "chosen": row["responses"][better],
                "rejected": row["responses"][worse],
                "margin": abs(margin),
            }


def inconsistency(
    ratings: Sequence[tuple[float, float]],
    ranked: Sequence[Literal["a", "b", "tie"]],
) -> float:
    """Share of comparisons whose rating-implied preference is not the ranked one, ties included.

    Args:
        ratings: (of a, of b), one a comparison.
        ranked: the preference stated directly.
    """
    implied = ["a" if a > b else "b" if b > a else "tie" for a, b in ratings]
    return sum(i != r for i, r in zip(implied, ranked, strict=True)) / len(implied)
