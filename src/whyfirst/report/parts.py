"""Parts of results.json: numbers, cells, breakdowns by group, judges and probes.

Leaves out: the file as a whole, reading and writing it (`schema.py`).
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, JsonValue

from whyfirst.config.strict import StrictModel

Number = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Cell(StrictModel):
    """One benchmark of one arm on one split and framing, pooled over seeds.

    `value`, `low`, `high` are None where nothing could be scored. `worst` and `best` bound the
    value by counting every unscored item as a fail and as a pass.
    """

    value: Number | None
    low: Number | None
    high: Number | None
    n: Count
    unscored: Count
    n_seeds: Count
    worst: Number | None
    best: Number | None


class GroupTable(StrictModel):
    """One benchmark broken down by one field of its items: arm -> name -> cell."""

    benchmark: str
    by: str
    arms: dict[str, dict[str, Cell]]


class GapRow(StrictModel):
    """A difference between two groups of items within one arm and seed: the first less the second.

    For more than two `groups` it is the widest, and its interval covers all pairs.
    """

    arm: str
    benchmark: str
    split: str | None
    first: str
    second: str
    value: Number
    low: Number
    high: Number
    groups: Count
    seed: Count
    note: str


class Interval(StrictModel):
    """A number with its 95 % interval."""

    value: Number
    low: Number
    high: Number


class JudgeRow(StrictModel):
    """A judge's measured agreement with people; None where it was never measured."""

    question: str
    data: str
    n: Count
    unscored: Count
    kappa: Interval | None
    sensitivity: Interval | None
    specificity: Interval | None


class CorrectedRow(StrictModel):
    """A rate corrected for its judge's error (Rogan and Gladen), to stand beside the raw one."""

    arm: str
    benchmark: str
    judge: str
    raw: Number
    corrected: Interval | None
    problem: str


class ProbeMeasure(StrictModel):
    """One number of a probe; `at` says where (layer, framing, coefficient, family, ...)."""

    name: str
    arm: str
    at: dict[str, str | int | Number]
    note: str
    value: Number | None
    low: Number | None
    high: Number | None
    n: Count
    n_seeds: Count
    unit: str


class ProbeRow(StrictModel):
    """One probe's findings: its numbers, how they go with behaviour, and what to know first."""

    probe: str
    version: str
    definition: str
    models: dict[str, dict[str, str]]
    settings: dict[str, JsonValue]
    measures: list[ProbeMeasure]
    behaviour: list[ProbeMeasure]
    cautions: list[str]
