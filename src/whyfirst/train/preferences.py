"""Rows of preferences: pairs, lists of responses, or single responses, checked and tokenised.

Leaves out: chat transcripts in one string (`whyfirst.data` reads those).
"""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from whyfirst.config.errors import DataError
from whyfirst.config.room import Use
from whyfirst.data import checks
from whyfirst.data.rows import Row, numbered
from whyfirst.train.config_base import Stage
from whyfirst.train.encode import Candidates, check_responses, exchanges
from whyfirst.train.kinds import Rows
from whyfirst.train.objectives import OBJECTIVES

_LABELS = ("labels", "scores", "ranks")


def check_rows(objective: Use, rows: Rows, path: Path) -> None:
    """Refuse rows that an objective can't use.

    Raises:
        DataError: a missing column, too few or too many responses, labels that are no numbers or
            tell no response from another; names file, row and column.
    """
    facts = OBJECTIVES.get(objective.name).facts
    fewest, most = facts.get("responses", (2, 2))
    within = labels_within(objective)
    check_responses(rows, columns_of(rows, path), path)
    for number, row in numbered(rows):
        at = f"{path}: row {number}"
        for column in ("prompts", "responses"):
            # Of a text each character would be one.
            if not isinstance(row.get(column, []), list):
                raise DataError(f"{at}: {column!r} must be a list; found {row[column]!r:.60}")
        responses = len(responses_of(row))
        if responses < fewest or (most is not None and responses > most):
            wanted = f"{fewest}" if most == fewest else f"{fewest} to {most or 'any number of'}"
            raise DataError(
                f"{at}: {objective.name} compares {wanted} responses a prompt, and there "
                f"{'is' if responses == 1 else 'are'} {responses}"
            )
        if len(prompts_of(row)) != responses:
            raise DataError(f"{at}: {len(row['prompts'])} prompts for {responses} responses")
        if facts.get("alike") and any(said != responses_of(row)[0] for said in responses_of(row)):
            raise DataError(
                f"{at}: {objective.name} reads one response in two contexts; the responses differ"
            )
        if facts.get("binary") and not isinstance(row.get("label"), bool):
            raise DataError(
                f"{at}: 'label' must be true (desirable) or false; found {row.get('label')!r}"
            )
        _check_labels(row, objective.name, within, at)
        for column, shape in facts.get("columns", {}).items():
            _check_column(row, column, shape, f"{at}: {column!r}", objective.name)


def _check_labels(
    row: dict[str, Any], objective: str, within: tuple[float, float] | None, at: str
) -> None:
    facts, given = OBJECTIVES.get(objective).facts, labels_of(row, at, within is not None)
    if facts.get("labelled", True):
        if any(math.isnan(label) for label in given):
            raise DataError(
                f"{at}: {objective} needs a label for each response, in the column "
                f"{'label' if 'completion' in row else ' or '.join(map(repr, _LABELS))}"
            )
        wants_order = facts.get("distinct", False)
        equal = len(given) > 1 and not facts.get("ties")
        if equal and len(set(given)) < (len(given) if wants_order else 2):
            needs = "an order of them" if wants_order else "a better and a worse one"
            raise DataError(
                f"{at}: responses with equal labels {list(given)}, and {objective} needs {needs}; "
                "drop the row or label it anew"
            )
    if within is not None and any(not within[0] <= label <= within[1] for label in given):
        raise DataError(
            f"{at}: {objective} reads labels from {within[0]:g} to {within[1]:g}; found "
            f"{list(given)}; scale them, or give 'ranks'"
        )


def labels_within(objective: Use) -> tuple[float, float] | None:
    """The least and the highest label that an objective reads; None where any will do."""
    told = OBJECTIVES.get(objective.name).facts.get("labels_within")
    found: tuple[float, float] | None = told and told(OBJECTIVES.filled(objective))
    return found


def columns_of(rows: Rows, path: Path) -> tuple[str, ...]:
    """The columns of text, the prompt first; all rows of a file are shaped as its first.

    Raises:
        DataError: there is no response in it, or a row has responses in two shapes.
    """
    check_shapes(rows, path)
    columns = checks.columns_of(rows[0])
    if len(columns) > 1:
        return columns
    raise DataError(
        f"{path}: row 1: no responses; give 'chosen' and 'rejected', 'responses' with 'labels', "
        f"'scores' or 'ranks', or 'completion' with 'label' (keys: {', '.join(sorted(rows[0]))})"
    )


def check_shapes(rows: Rows, path: Path) -> None:
    """Refuse rows with responses in two shapes, of which one would be left out and say nothing.

    Raises:
        DataError: names file, row and columns.
    """
    for number, row in numbered(rows):
        if len(shapes := checks.shapes_of(row)) > 1:
            named = " and ".join("/".join(map(repr, shape)) for shape in shapes)
            raise DataError(
                f"{path}: row {number}: responses stand in {named}, and a row has one of these; "
                "remove what isn't to be compared"
            )


def read_candidates(
    config: Stage, tokenizer: Any, rows: Rows, path: Path, columns: Any = (),
    borrowed: bool = False, shares: bool = False,
) -> list[Candidates]:  # fmt: skip
    """Each row's prompts and responses as tokens, best first, with labels and columns.

    Args:
        columns: name -> shape, of the columns that go into `Candidates.extras`.
        borrowed: add the response of the row half the file away, to this row's prompt. That is
            every row's once, so that their mean is one over the file's own responses; where the
            two prompts are one (a pair in two rows), the next row's with another prompt.
        shares: of labels by `ranks`, as in `labels_of`.

    Raises:
        DataError: all rows have one prompt, so that there is no other row's response.
    """
    # As one list, since a tokenizer takes many texts at once and a row has few.
    flat = [
        Row({"prompt": prompt, "response": response}, number)
        for number, row in numbered(rows)
        for prompt, response in zip(prompts_of(row), responses_of(row), strict=True)
    ]
    tokens = iter(exchanges(tokenizer, flat, path, "response", config.format))
    made = []
    for number, row in numbered(rows):
        at = f"{path}: row {number}"
        labels = labels_of(row, at, shares)
        pairs = [next(tokens) for _ in responses_of(row)]
        # Stable, and NaN compares with nothing: rows without labels keep their order.
        order = sorted(range(len(pairs)), key=lambda k: -labels[k])
        extras = {
            name: [row[name][k] for k in order] if shape in ("response", "token") else row[name]
            for name, shape in dict(columns).items()
        }
        if "token" in dict(columns).values():
            _check_tokens(extras, columns, [pairs[k][1] for k in order], at)
        prompts, responses = zip(*(pairs[k] for k in order), strict=True)
        made.append(Candidates(prompts, responses, tuple(labels[k] for k in order), extras))
    return _with_borrowed(made, path) if borrowed else made


def _with_borrowed(rows: list[Candidates], path: Path) -> list[Candidates]:
    made, count = [], len(rows)
    for at, row in enumerate(rows):
        others = (rows[(at + count // 2 + step) % count] for step in range(count))
        other = next((o for o in others if o.prompts[0] != row.prompts[0]), None)
        if other is None:
            raise DataError(f"{path}: all rows have one prompt; there must be another's response")
        made.append(
            replace(
                row,
                prompts=(*row.prompts, row.prompts[0]),
                responses=(*row.responses, other.responses[0]),
                labels=(*row.labels, math.nan),
                borrowed=1,
            )
        )
    return made


def responses_of(row: dict[str, Any]) -> list[Any]:
    """The responses of a row, in its own order."""
    columns = checks.columns_of(row)[1:]
    return list(row["responses"]) if columns == ("responses",) else [row[key] for key in columns]


def prompts_of(row: dict[str, Any]) -> list[Any]:
    """The prompt of each response."""
    if "prompts" in row:
        return list(row["prompts"])
    return [row["prompt"]] * len(responses_of(row))


def labels_of(row: dict[str, Any], at: str, shares: bool = False) -> tuple[float, ...]:
    """How good each response of a row is, more is better; NaN where it does not say.

    Args:
        shares: a rank is the share of the others that it beats, and not how many those are.

    Raises:
        DataError: not with one number for each response.
    """
    columns = checks.columns_of(row)[1:]
    if columns == ("chosen", "rejected"):
        return 1.0, 0.0
    if columns == ("completion",):
        return (_number(row["label"], f"{at}: 'label'") if "label" in row else math.nan,)
    by, responses = next((name for name in _LABELS if name in row), None), len(row["responses"])
    # An objective that needs labels refuses such rows; others read what stands in columns.
    if by is None:
        return (math.nan,) * responses
    given = row[by]
    if not isinstance(given, list) or len(given) != responses:
        raise DataError(f"{at}: {by!r} must be a list of {responses} numbers, one a response")
    numbers = tuple(_number(value, f"{at}: {by!r}") for value in given)
    # A rank says less is better; how many it beats says it the right way round.
    if by == "ranks":
        beaten = (float(sum(other > rank for other in numbers)) for rank in numbers)
        others = max(responses - 1, 1) if shares else 1
        return tuple(count / others for count in beaten)
    return numbers


def _number(value: Any, at: str) -> float:
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise DataError(f"{at} must be a finite number, or true or false; found {value!r}")
    return float(value)


def _check_column(row: dict[str, Any], column: str, shape: str, at: str, objective: str) -> None:
    """A column that an objective reads has the shape it says, and finite numbers."""
    value = row.get(column)
    if value is None:
        raise DataError(
            f"{at}: no such column, and the objective {objective} reads it "
            f"(keys: {', '.join(sorted(row))})"
        )
    if shape == "text":
        return
    count = len(responses_of(row))
    if shape != "row" and not (isinstance(value, list) and len(value) == count):
        raise DataError(f"{at} must be a list of {count}, one for each response; found {value!r}")
    if shape == "row":
        _number(value, at)
    for each in value if shape == "response" else ():
        _number(each, at)
    for numbers in value if shape == "token" else ():
        for each in numbers if isinstance(numbers, list) else [numbers]:
            _number(each, at)


def _check_tokens(
    extras: dict[str, Any], columns: Any, responses: list[list[int]], at: str
) -> None:
    """A number for each token of a response; its end token may go without and then gets 0."""
    for name, shape in dict(columns).items():
        for k, response in enumerate(responses if shape == "token" else ()):
            given = len(extras[name][k])
            # Whoever scored the response may not have had its end token.
            if given not in (len(response), len(response) - 1):
                raise DataError(
                    f"{at}: {name!r} has {given} numbers for a response of {len(response)} tokens, "
                    "its end included"
                )
