"""Ways to relabel, select, mix and order rows, by name.

A **transform** is ``(rows: Iterable[Row], rng: random.Random, *, options) -> Iterator[Row]``. A
**selector** is ``(rows: Sequence[Row], n: int, *, options) -> list[int]``: the indices of the rows
to keep, ascending. Entered with ``@TRANSFORMS.enter(name, ...)`` or
``@SELECTORS.enter(name, ...)``, each in a file of its own here; the fact ``columns`` names the
columns a row must have, ``streams`` says whether a transform holds one row at a time, ``models``
names the options that are models in one word (a folder, a GGUF file).

What a runner gives, to those that ask for it by a keyword-only parameter of that name:

- `left_out`: called with a row that is left out, and why; nothing is dropped without it;
- `model`: a `LanguageModel`; `open_model`: one by its reference, as a study writes it;
- `embed`: texts -> array (n, d); without the extra `embed` it is `models.embed.lexical`;
- `seed`: of the study's seed.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from whyfirst.config.room import Room

Row = Mapping[str, Any]
LeftOut = Callable[[Row, str], None]

TRANSFORMS: Room[Iterator[Row]] = Room(
    "transforms", __name__, context=("left_out", "model", "open_model", "embed", "seed")
)
SELECTORS: Room[list[int]] = Room("selectors", __name__, context=("model", "embed", "seed"))
