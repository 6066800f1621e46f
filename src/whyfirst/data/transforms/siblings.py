"""Contrastive ranking data from trajectories: the first step where a right and a wrong one part.

Xiong et al. 2024, "Deliberate Reasoning in Language Models as Structure-Aware Planning with an
Accurate World Model" (SWAP), arXiv 2410.03136. Leaves out: state graphs, and training the
discriminator (a `prefer` stage on these rows).
"""

from collections.abc import Iterable, Iterator
from random import Random

from pydantic import BaseModel

from whyfirst.data.transforms import TRANSFORMS, LeftOut, Row, Said
from whyfirst.data.transforms.texts import told_last


class Trajectory(BaseModel):
    """Steps, and whether they end right."""

    steps: list[str]
    correct: bool


@TRANSFORMS.enter(
    "siblings",
    paper="Xiong et al. 2024, arXiv 2410.03136",
    needs="prompt, trajectories (each with steps and correct)",
    tested="one pair for each right and wrong step at the first difference, no pair twice",
    columns={"prompt": Said, "trajectories": list[Trajectory]},
    tells=True,
    streams=True,
)
def siblings(rows: Iterable[Row], rng: Random, *, left_out: LeftOut) -> Iterator[Row]:
    """A pair of next steps after the steps that a right and a wrong trajectory share."""
    for row in rows:
        right = [t["steps"] for t in row["trajectories"] if t["correct"]]
        wrong = [t["steps"] for t in row["trajectories"] if not t["correct"]]
        pairs: dict[tuple[tuple[str, ...], str, str], None] = {}
        for good in right:
            for bad in wrong:
                place = _parting(good, bad)
                if place < min(len(good), len(bad)):
                    pairs[tuple(good[:place]), good[place], bad[place]] = None
        if not pairs:
            left_out(row, "no right and wrong trajectory that part at a step")
        for shared, chosen, rejected in pairs:
            prompt = told_last(row["prompt"], "\n".join(shared)) if shared else row["prompt"]
            yield {"prompt": prompt, "chosen": chosen, "rejected": rejected, "step": len(shared)}


def _parting(one: list[str], other: list[str]) -> int:
    """Index of the first step in which two trajectories differ."""
    pairs = zip(one, other, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))
