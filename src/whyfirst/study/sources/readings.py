"""Demonstrations that fit two readings alike, or part them; preferences of one over the other.

Leaves out: test items of the same pair, which the benchmark `readings` asks.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from whyfirst.config.errors import UserError
from whyfirst.config.files import sha256_file
from whyfirst.config.strict import affects_output
from whyfirst.data.readings import Documents, read_readings, readings_file
from whyfirst.study.sources import CORPORA, Row


def _inputs(options: Mapping[str, Any], world: object) -> dict[str, str]:
    return {"readings": sha256_file(readings_file(options["pair"]))}


def _check(options: Mapping[str, Any], world: object) -> Iterator[tuple[str | None, str]]:
    """What no row shows: a reading named for rows that no reading changes."""
    if options["reading"] is not None and options["documents"] == "demonstrations":
        yield "reading", "has no effect: these demonstrations fit both readings"


@CORPORA.enter("readings", places=("pair",), inputs=_inputs, check=_check)
def readings(
    *,
    pair: Annotated[str, affects_output(description="a shipped name or a YAML file")],
    documents: Annotated[Documents, affects_output()],
    reading: Annotated[
        str | None, affects_output(description="whose, where they part; null: the first")
    ] = None,
    size: Annotated[int | None, affects_output(ge=1, description="rows; null: all")] = None,
) -> list[Row]:
    """Demonstrations of a pair of readings, half refused and half granted, or pairs and lists."""
    rows = read_readings(pair).rows(documents, reading)
    if size is not None and size > len(rows):
        raise UserError(f"{pair}: size {size}, and there are {len(rows)} {documents}")
    return rows[:size]
