"""Ways to relabel, select, mix and order rows, by name.

A **transform** is ``(rows: Iterable[Row], rng: random.Random, *, options) -> Iterator[Row]``; it
may stream. A **selector** is ``(rows: Sequence[Row], n: int, *, options) -> list[int]``, the
indices of the rows to keep. What a transform leaves out it hands to `left_out`, with the reason, so
that a plan and a report can count it. Entered with ``@TRANSFORMS.enter(name, ...)`` and
``@SELECTORS.enter(name, ...)``, each in a file of its own here.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from whyfirst.config.room import Room

Row = Mapping[str, Any]
LeftOut = Callable[[Row, str], None]
"""Called with a row that a transform leaves out, and why."""

TRANSFORMS: Room[Iterator[Row]] = Room(
    "transforms", __name__, context=("left_out", "model", "seed")
)
SELECTORS: Room[list[int]] = Room("selectors", __name__, context=("model", "seed"))
