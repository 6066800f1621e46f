"""Rows through a corpus' transforms and selector, with what was left out counted by its reason.

Leaves out: reading rows (`rows`) and filling a token budget.
"""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from whyfirst.config.errors import DataError
from whyfirst.config.room import Room, Use
from whyfirst.data.transforms import SELECTORS, TRANSFORMS


@dataclass(frozen=True)
class Made:
    """Rows, and for each transform how many rows it left out for which reason."""

    rows: list[dict[str, Any]]
    left_out: dict[str, Counter[str]] = field(default_factory=dict)


def made(
    rows: Sequence[Mapping[str, Any]],
    transforms: Sequence[Use],
    select: Use | None,
    n: int,
    *,
    seed: int,
    name: str,
    context: Mapping[str, Any],
) -> Made:
    """The rows after every transform in turn and the selector.

    Args:
        n: rows the selector keeps.
        name: of the corpus; with the seed it decides every draw.
        context: what a method may ask for besides `left_out` and `seed`.

    Raises:
        DataError: a method needs a column that a row lacks, or leaves nothing.
        UserError: a method needs something that isn't at hand.
    """
    left_out: dict[str, Counter[str]] = {}
    current: list[Any] = list(rows)  # as read: a row knows its line
    for place, use in enumerate(transforms):
        _check_columns(TRANSFORMS, use, current, name)
        reasons = left_out.setdefault(f"{place + 1} {use.name}", Counter())
        # Bound at once (`r=reasons`): the next transform has a counter of its own.
        given = {**context, "seed": seed, "left_out": lambda row, why, r=reasons: r.update([why])}
        # Each has its own draws: one put in before it must not change what it draws.
        rng = random.Random(f"{seed}/{name}/{place}")
        current = [dict(row) for row in TRANSFORMS.make(use, **given)(current, rng)]
        if not current:
            told = ", ".join(f"{why} ({count})" for why, count in reasons.most_common(3))
            raise DataError(
                f"corpus {name!r}: {use.name} leaves no row: {told or 'no reason given'}"
            )
    if select is not None:
        _check_columns(SELECTORS, select, current, name)
        chosen = SELECTORS.make(select, **context, seed=seed)(current, n)
        # Kept apart from transforms, since a selector drops by number and not by a row's fault.
        reasons = Counter({f"not among the {n} selected": len(current) - len(chosen)})
        left_out[f"select {select.name}"] = +reasons
        current = [current[index] for index in chosen]
    return Made(current, left_out)


def _check_columns(
    room: Room[Any], use: Use, rows: Sequence[Mapping[str, Any]], corpus: str
) -> None:
    for number, row in enumerate(rows, 1):
        for column in room.get(use.name).facts.get("columns", ()):
            if column not in row:
                line = getattr(row, "line", number)
                raise DataError(
                    f"corpus {corpus!r}: row {line}: no column {column!r}, which {use.name} needs "
                    f"({room.get(use.name).needs})"
                )
