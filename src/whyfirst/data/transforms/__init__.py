"""Ways to relabel, select, mix and order rows, by name.

A **transform** is ``(rows: Iterable[Row], rng: random.Random, *, options) -> Iterator[Row]``. A
**selector** is ``(rows: Sequence[Row], n: int, *, options) -> list[int]``: the indices of the rows
to keep, ascending. Entered with ``@TRANSFORMS.enter(name, ...)`` or
``@SELECTORS.enter(name, ...)``, each in a file of its own here. Facts: ``columns`` names the
columns a row must have, with the type of each (or the names alone: of any type), ``may_have`` those
that need not be there; ``streams`` says whether a transform holds one row at a time, ``tells``
whether it puts words into prompts, ``models`` names the options that are models in one word (a
folder, a GGUF file).

What a runner gives, to those that ask for it by a keyword-only parameter of that name:

- `left_out`: called with a row that is left out, and why; nothing is dropped without it;
- `model`: a `LanguageModel`; `open_model`: one by its reference, as a study writes it;
- `embed`: texts -> array (n, d); without the extra `embed` it is `models.embed.lexical`;
- `seed`: of the study's seed.

One that asks for `seed`, or a transform that draws from `rng`, gives each seed of a study rows of
its own (`draws`).
"""

import ast
import inspect
from collections.abc import Callable, Iterator, Mapping
from textwrap import dedent
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Field

from whyfirst.config.room import Entry, Room

Row = Mapping[str, Any]
LeftOut = Callable[[Row, str], None]


class Turn(BaseModel):
    """One message of a chat."""

    role: str
    content: str


Said = str | list[Turn]
"""The type of a column that holds a text or the messages of a chat."""
_T = TypeVar("_T")
Two = Annotated[list[_T], Field(min_length=2, max_length=2)]

TRANSFORMS: Room[Iterator[Row]] = Room(
    "transforms", __name__, context=("left_out", "model", "open_model", "embed", "seed")
)
SELECTORS: Room[list[int]] = Room("selectors", __name__, context=("model", "embed", "seed"))


def draws(entry: Entry[Any]) -> bool:
    """Whether what a method makes differs from seed to seed: it asks for `seed`, or uses `rng`."""
    if "seed" in entry.context or "rng" not in inspect.signature(entry.function).parameters:
        return "seed" in entry.context
    written = ast.walk(ast.parse(dedent(inspect.getsource(entry.function))))
    return any(isinstance(node, ast.Name) and node.id == "rng" for node in written)
