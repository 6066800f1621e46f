"""Rows through a corpus' transforms and selector, with what was left out counted by its reason.

Rows come one after the other as far as the methods let them: a transform that says that it streams
holds one row at a time, any other and every selector holds all of them. Leaves out: reading rows
(`rows`) and filling a token budget.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from whyfirst.config.errors import DataError
from whyfirst.config.room import Room, Use
from whyfirst.config.strict import problems_of
from whyfirst.data.rows import numbered
from whyfirst.data.transforms import SELECTORS, TRANSFORMS

_PIECES = 4
"""Of a place in a row that are told from either end; data may lie in itself hundreds of times."""

Rows = Iterable[dict[str, Any]]


@dataclass(frozen=True)
class Made:
    """Rows, and for each transform how many rows it left out for which reason.

    The reasons are complete once the rows have been gone through.
    """

    rows: Rows
    left_out: dict[str, Counter[str]] = field(default_factory=dict)

    @property
    def held(self) -> "Made":
        """The same with its rows in a list."""
        return Made(list(self.rows), self.left_out)


def made(
    rows: Iterable[Mapping[str, Any]],
    transforms: Sequence[Use],
    select: Use | None,
    n: int,
    *,
    seed: int,
    name: str,
    context: Mapping[str, Any],
) -> Made:
    """The rows after every transform in turn and the selector, to be gone through once.

    Args:
        n: rows the selector keeps.
        name: of the corpus; with the seed it decides every draw.
        context: what a method may ask for besides `left_out` and `seed`.

    Raises:
        DataError: while rows are taken: a method needs a column that a row lacks or has of another
            type, or leaves nothing, or is to select more rows than there are.
        UserError: a method needs something that isn't at hand.
    """
    left_out: dict[str, Counter[str]] = {}
    current: Iterable[Any] = rows  # as read: a row knows its line
    for place, use in enumerate(transforms):
        reasons = left_out.setdefault(f"{place + 1} {use.name}", Counter())
        given = {**context, "seed": seed, "left_out": lambda row, why, r=reasons: r.update([why])}
        rng = random.Random(f"{seed}/{name}/{place}")
        current = _through(TRANSFORMS.make(use, **given), current, rng, name, use, reasons)
    if select is not None:
        context = {**context, "seed": seed}
        current = _selected(select, SELECTORS.make(select, **context), current, n, name, left_out)
    return Made(current, left_out)


def _through(
    transform: Callable[..., Iterable[Mapping[str, Any]]],
    rows: Iterable[Any],
    rng: random.Random,
    corpus: str,
    use: Use,
    reasons: Counter[str],
) -> Iterator[dict[str, Any]]:
    """What a transform gives, or a DataError where that is nothing or it refuses them."""
    rows = _with_columns(TRANSFORMS, use, rows, corpus)
    if not TRANSFORMS.get(use.name).facts.get("streams"):
        rows = list(rows)  # it may go through them twice
    some = False
    try:
        for row in transform(rows, rng):
            some = True
            yield dict(row)
    except ValueError as error:
        raise DataError(f"corpus {corpus!r}: {use.name}: {error}") from error
    if not some:
        told = ", ".join(f"{why} ({count})" for why, count in reasons.most_common(3))
        raise DataError(f"corpus {corpus!r}: {use.name} leaves no row: {told or 'no reason given'}")


def _selected(
    use: Use,
    selector: Callable[[Sequence[Any], int], list[int]],
    rows: Iterable[Any],
    n: int,
    corpus: str,
    left_out: dict[str, Counter[str]],
) -> Iterator[dict[str, Any]]:
    every = list(_with_columns(SELECTORS, use, rows, corpus))
    if n > len(every):
        raise DataError(
            f"corpus {corpus!r}: select {use.name}: n is {n}, and there are {len(every)} rows: "
            "nothing would be selected; give a smaller n"
        )
    try:
        chosen = selector(every, n)
    except ValueError as error:
        raise DataError(f"corpus {corpus!r}: {use.name}: {error}") from error
    reasons = Counter({f"not among the {n} selected": len(every) - len(chosen)})
    left_out[f"select {use.name}"] = +reasons
    for index in chosen:
        yield every[index]


def _with_columns(
    room: Room[Any], use: Use, rows: Iterable[Mapping[str, Any]], corpus: str
) -> Iterator[Any]:
    """The rows, each looked at for what the method needs."""
    entry = room.get(use.name)
    wanted = entry.facts.get("columns", ())
    typed = (dict(wanted) if isinstance(wanted, Mapping) else {}) | entry.facts.get("may_have", {})
    types = {column: TypeAdapter(of) for column, of in typed.items()}
    for line, row in numbered(rows):
        at = f"corpus {corpus!r}: row {line}"
        for column in wanted:
            if column not in row:
                raise DataError(
                    f"{at}: no column {column!r}, which {use.name} needs ({entry.needs})"
                )
        for column in (column for column in types if column in row):
            try:
                types[column].validate_python(row[column], strict=True)
            except ValidationError as error:
                said = _unlike(column, row[column], error)
                raise DataError(f"{at}: {said}; {use.name} needs {entry.needs}") from None
        yield row


def _unlike(column: str, value: Any, error: ValidationError) -> str:
    """What is wrong with a column's value, where it is, and what to do about it."""
    # A text or a list may be wanted: what is wrong furthest inside tells most.
    at, said = max(problems_of(error, BaseModel, value), key=lambda one: len(one[0]))
    if len(at) > 2 * _PIECES:
        at = (*at[:_PIECES], "...", *at[-_PIECES:])
    place = ".".join(map(str, (column, *at)))
    if isinstance(value, str):
        return f"{place}: {said} (every value of a CSV file is text; give JSONL or parquet)"
    if isinstance(value, list) and said.startswith("expected text, found a list"):
        return f"{place}: {said} (give its words as text)"
    return f"{place}: {said}"
