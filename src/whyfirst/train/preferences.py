"""Rows of preferences: pairs, lists of responses, or single responses, checked and tokenised.

Leaves out: chat transcripts in one string (`whyfirst.data` reads those).
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from whyfirst.config.errors import DataError
from whyfirst.config.room import Use
from whyfirst.train.encode import Candidates, candidates, check_responses
from whyfirst.train.kinds import Rows
from whyfirst.train.objectives import OBJECTIVES

_LABELS = ("scores", "ranks", "labels")


def check_rows(objective: Use, rows: Rows, path: Path) -> None:
    """Refuse rows that an objective can't use.

    Raises:
        DataError: a missing column, too few or too many responses, labels that are no numbers or
            that tell no response from another; names file, row and column.
    """
    facts = OBJECTIVES.get(objective.name).facts
    fewest, most = facts.get("responses", (2, 2))
    check_responses(rows, columns_of(rows, path), path)
    for number, row in enumerate(rows, 1):
        at, responses = f"{path}: row {number}", len(_responses(row))
        if responses < fewest or (most is not None and responses > most):
            wanted = f"{fewest}" if most == fewest else f"{fewest} to {most or 'any number of'}"
            raise DataError(
                f"{at}: {objective.name} compares {wanted} responses a prompt, and there "
                f"{'is' if responses == 1 else 'are'} {responses}"
            )
        given = labels(row, at)
        order = facts.get("order", "some") if responses > 1 else "none"
        if (order == "some" and len(set(given)) == 1) or (
            order == "all" and len(set(given)) < responses
        ):
            raise DataError(
                f"{at}: {_labelled_by(row)}: {objective.name} needs "
                f"{'a better and a worse response' if order == 'some' else 'an order'}, and the "
                f"labels {list(given)} have equals; drop the row or label it anew"
            )
        for column in facts.get("columns", ()):
            _check_number(row, column, responses, at, objective.name)


def read_candidates(
    objective: Use, tokenizer: Any, rows: Rows, path: Path
) -> tuple[tuple[str, ...], list[Candidates]]:
    """The columns of text, and each row's prompt and responses as tokens with labels and extras.

    Raises:
        DataError: as `check_rows`.
    """
    check_rows(objective, rows, path)
    columns = columns_of(rows, path)
    wanted = OBJECTIVES.get(objective.name).facts.get("columns", ())
    # A list of responses is read as so many columns, named as a message about one would name it.
    flat = [
        {"prompt": row["prompt"]}
        | {f"responses[{k}]": text for k, text in enumerate(_responses(row))}
        for row in rows
    ]
    tokens = candidates(tokenizer, flat, path)
    made = [
        Candidates(
            one.prompt, one.responses, labels(row, f"{path}: row {number}"),
            {name: row[name] for name in wanted},
        )
        for number, (one, row) in enumerate(zip(tokens, rows, strict=True), 1)
    ]  # fmt: skip
    return columns, made


def columns_of(rows: Rows, path: Path) -> tuple[str, ...]:
    """The columns of text that the first row has; all rows of a file are of one shape.

    Raises:
        DataError: there is no response in it, or no label beside it.
    """
    row = rows[0]
    if "responses" in row:
        return "prompt", "responses"
    if "completion" in row:
        return "prompt", "completion"
    if {"chosen", "rejected"} & row.keys():
        return "prompt", "chosen", "rejected"
    raise DataError(
        f"{path}: row 1: no responses; give 'chosen' and 'rejected', 'responses' with 'scores', "
        f"'ranks' or 'labels', or 'completion' with 'label' (keys: {', '.join(sorted(row))})"
    )


def labels(row: dict[str, Any], at: str) -> tuple[float, ...]:
    """How good each response of a row is, more is better.

    Raises:
        DataError: it does not say, or not with one number for each response.
    """
    if "chosen" in row:
        return 1.0, 0.0
    if "completion" in row:
        return (_number(row.get("label"), f"{at}: 'label'"),)
    by, responses = _labelled_by(row), len(row["responses"])
    given = row.get(by)
    if not isinstance(given, list) or len(given) != responses:
        raise DataError(f"{at}: {by!r} must be a list of {responses} numbers, one a response")
    numbers = tuple(_number(value, f"{at}: {by!r}") for value in given)
    if by == "ranks":
        return tuple(float(sum(other > rank for other in numbers)) for rank in numbers)
    return numbers


def _responses(row: dict[str, Any]) -> Sequence[Any]:
    if "responses" in row:
        return row["responses"] if isinstance(row["responses"], list) else ()
    return [row[key] for key in ("chosen", "rejected", "completion") if key in row]


def _labelled_by(row: dict[str, Any]) -> str:
    return next((name for name in _LABELS if name in row), "scores")


def _number(value: Any, at: str) -> float:
    if not isinstance(value, int | float) or math.isnan(value):
        raise DataError(f"{at} must be a number, or true or false; found {value!r}")
    return float(value)


def _check_number(
    row: dict[str, Any], column: str, responses: int, at: str, objective: str
) -> None:
    """A column that an objective reads: there, and finite where it is a number."""
    if row.get(column) is None:
        raise DataError(
            f"{at}: no column {column!r}, which the objective {objective} reads "
            f"(keys: {', '.join(sorted(row))})"
        )
    value = row[column]
    numbers = value if isinstance(value, list) else [value]
    if any(isinstance(n, float) and not math.isfinite(n) for n in numbers):
        raise DataError(f"{at}: {column!r} is {value!r}, and must be finite")
    if isinstance(value, list) and value and isinstance(value[0], int | float):
        if len(value) != responses:
            raise DataError(f"{at}: {column!r} has {len(value)} numbers for {responses} responses")
