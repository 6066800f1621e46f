"""CUT's rows: one response read in two contexts, without and with a judgment of it.

Xu et al. 2023, "Reasons to Reject?", arXiv 2312.14591. Leaves out: who writes the judgments.
"""

from collections.abc import Iterable, Iterator
from random import Random

from whyfirst.data.transforms import TRANSFORMS, LeftOut, Row, Said
from whyfirst.data.transforms.texts import told_last

CONTEXT = "(A judgment of the response that follows: {judgment})"


@TRANSFORMS.enter(
    "judgments",
    paper="Xu et al. 2023, arXiv 2312.14591",
    needs="prompt, completion, judgment",
    tested="the same response twice, the judgment in the second prompt only",
    columns={"prompt": Said, "completion": Said, "judgment": str},
    tells=True,
    streams=True,
)
def judgments(
    rows: Iterable[Row], rng: Random, *, left_out: LeftOut, context: str = CONTEXT
) -> Iterator[Row]:
    """Rows of `prompts`, `responses` and `labels` for the objective `cut`."""
    for row in rows:
        if not row["judgment"].strip():
            left_out(row, "no judgment")
            continue
        said = context.replace("{judgment}", row["judgment"])
        yield {
            "prompts": [row["prompt"], told_last(row["prompt"], said)],
            "responses": [row["completion"]] * 2,
            "labels": [1, 0],
        }
