"""A transform: of several rows with one prompt, the first few are kept.

Leaves out: prompts that differ by a letter (see `coverage`).
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from random import Random
from typing import Annotated

from pydantic import Field

from whyfirst.data.transforms import TRANSFORMS, LeftOut, Row


@TRANSFORMS.enter(
    "one_a_prompt",
    needs="prompt",
    tested="no prompt stands more than `most` times; what went is told",
    columns=("prompt",),
    streams=True,
)
def one_a_prompt(
    rows: Iterable[Row], rng: Random, *, left_out: LeftOut, most: Annotated[int, Field(ge=1)] = 1
) -> Iterator[Row]:
    """The first `most` rows of every prompt."""
    seen: Counter[str] = Counter()
    for row in rows:
        prompt = str(row["prompt"])
        seen[prompt] += 1
        if seen[prompt] <= most:
            yield row
        else:
            left_out(row, f"its prompt stands in {most} rows before it")
