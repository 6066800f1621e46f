"""A curriculum from scaffolded to bare reasoning.

Xu et al. 2025, "MindGYM", arXiv 2503.09499, in its first version ("Enhancing Vision-Language Models
via Synthetic Self-Challenging Questions"); the later ones have no curriculum. In the first of
`stages` the whole scaffold (the steps of thought) is given with the question, in the last nothing
of it; how much in between is this file's choice. Leaves out: synthesising the questions.
"""

import math
from collections.abc import Iterable, Iterator
from random import Random
from typing import Literal

from whyfirst.data.transforms import TRANSFORMS, LeftOut, Row, Said
from whyfirst.data.transforms.texts import told_last


@TRANSFORMS.enter(
    "curriculum",
    paper="Xu et al. 2025, arXiv 2503.09499",
    needs="prompt, scaffold (steps), completion",
    tested="the share of steps falls from all to none; answers unchanged",
    columns={"prompt": Said, "scaffold": list[str], "completion": Said},
    tells=True,
    streams=True,
)
def curriculum(
    rows: Iterable[Row],
    rng: Random,
    *,
    left_out: LeftOut,
    stage: int,
    stages: int = 3,
    keep: Literal["first", "last"] = "first",
) -> Iterator[Row]:
    """The rows of one stage of the curriculum.

    Args:
        stage: from 1 (all steps given) to `stages` (none).
        keep: whether the first or the last steps are the ones given.

    Raises:
        ValueError: there is no such stage.
    """
    if not 1 <= stage <= stages:
        raise ValueError(f"stage {stage} of {stages}")
    share = 1.0 if stages == 1 else (stages - stage) / (stages - 1)
    for row in rows:
        steps = row["scaffold"]
        count = math.ceil(share * len(steps))
        given = steps[:count] if keep == "first" else steps[len(steps) - count :]
        prompt = told_last(row["prompt"], "\n".join(given)) if given else row["prompt"]
        yield {**row, "prompt": prompt, "scaffold": list(given)}
