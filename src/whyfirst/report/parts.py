"""Parts of results.json: numbers, cells, breakdowns by group, curves, judges, probes, registration.

Leaves out: the file as a whole, reading and writing it (`schema.py`).
"""

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from whyfirst.config.strict import StrictModel, runtime_only

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

    @property
    def answers(self) -> int:
        """Those with a score, of all seeds: an item counts once for each."""
        return self.n - self.unscored


class GroupTable(StrictModel):
    """One benchmark broken down by one field of its items: arm -> name -> cell."""

    benchmark: str
    by: str
    arms: dict[str, dict[str, Cell]]


class KindRow(StrictModel):
    """A contrast with one kind of subject alone: each arm's mean, and their difference."""

    kind: str
    a: Number
    b: Number
    difference: Number
    low: Number
    high: Number
    p: Share
    n_items: Count
    n_seeds: Count


class KindTable(StrictModel):
    """One benchmark on one cell with each kind of subject alone: kind -> arm -> cell."""

    benchmark: str
    cell: str
    kinds: dict[str, dict[str, Cell]]


class GapRow(StrictModel):
    """A difference between two groups of items within one arm: the first less the second.

    For more than two `groups` it is the widest, and its interval covers all pairs. `seed` is None
    where it is the mean over all of the arm's.
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
    seed: Count | None
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


#: why a rate stays as it is though its judge was measured on such answers
BOTH_WAYS = "its items pass on either verdict, so that the judge errs both ways"


class CorrectedRow(StrictModel):
    """A rate corrected for its judge's error (Rogan and Gladen), to stand beside the raw one."""

    arm: str
    benchmark: str
    judge: str
    raw: Number
    corrected: Interval | None
    problem: str


class Axes(StrictModel):
    """Two axes of a benchmark's items: label -> split, and label -> framing, of a cell's key."""

    splits: dict[str, str]
    framings: dict[str, str]


class UsedByRole(StrictModel):
    """Calls of one role's model, and tokens it read and wrote."""

    calls: Count
    tokens: Count


class Used(StrictModel):
    """What an arm's answers took beyond its model's own: of edits and decoding methods.

    `base_calls` and `base_tokens` are what its final answers alone take: each prompt read and
    answered once, in the arm's own length (what the model would have said plainly may be longer);
    `roles` parts calls and tokens by who was asked; `fallbacks` counts what a method did in place
    of what it is for, by its reason; `embedding` names what texts were compared by, where any were.
    """

    calls: Count
    tokens: Count
    base_calls: Count
    base_tokens: Count
    seconds: Number = 0.0
    roles: dict[str, UsedByRole] = Field(default_factory=dict)
    fallbacks: dict[str, Count] = Field(default_factory=dict)
    embedding: str | None = None


class Comparison(StrictModel):
    """Two arms' responses to the same prompts, put to a judge in both orders.

    `win_rate` is the share of prompts that `a` wins, a tie counting half, over seeds and prompts.
    `position_bias` is how much more often the first response wins than the second, whoever gave it.
    `unscored` counts the pairs without a preference, by reason in `reasons`.
    """

    name: str
    title: str
    a: str
    b: str
    judge: str
    calibrations: list[str]
    win_rate: Interval | None
    wins: Count
    ties: Count
    losses: Count
    unscored: Count
    reasons: dict[str, Count]
    position_bias: Interval | None
    n_prompts: Count
    n_seeds: Count
    unit: str
    note: str


class StageRow(StrictModel):
    """One stage of the arms: its kind, corpus, where that comes from, and the settings given."""

    kind: str
    corpus: str
    source: dict[str, JsonValue]
    settings: dict[str, JsonValue]


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
    """One probe's findings: its numbers, how they go with behaviour, and what to know first.

    `method` is the arm whose reading the page is about, `without` those that read no reasons.
    """

    probe: str
    version: str
    definition: str
    models: dict[str, dict[str, str]]
    settings: dict[str, JsonValue]
    measures: list[ProbeMeasure]
    behaviour: list[ProbeMeasure]
    cautions: list[str]
    method: str = "explain_first"
    without: list[str] = Field(default_factory=list)


class Amendment(StrictModel):
    """A registration's plan replaced by another, with its reason; `changes` is what differs.

    `results` counts the evaluations that were there by then, and `looks` how often results had been
    put together, of a part of them or of all.
    """

    at: str
    reason: str
    sha256: str
    changes: list[str]
    results: Count
    looks: Count


class Look(StrictModel):
    """Results that were put together of fewer seeds than now: an interim look."""

    at: str
    seeds: dict[str, Count]


class Registration(StrictModel):
    """Whether the plan was frozen before the first result, and what deviated from it.

    `sha256` is of the registration as it was first written; `deviations` are from its last
    amendment, where it has any.
    """

    registered: bool
    before_first_result: bool | None
    sha256: str | None
    file: str | None
    primary: str | None
    deviations: list[str]
    amendments: list[Amendment] = Field(default_factory=list)
    looks: list[Look] = Field(default_factory=list)


class Claimed(StrictModel):
    """A figure published elsewhere; the report prints it as claimed and never as ours."""

    metric: str = runtime_only(description="what was measured")
    baseline: str | Number = runtime_only(description="the figure claimed of the baseline")
    method: str | Number = runtime_only(description="the figure claimed of the method")
    source: str = runtime_only(description="where it was published")


class LossCurve(StrictModel):
    """Training loss of one stage; `points` are (update, loss)."""

    stage: str
    arms: list[str]
    points: list[tuple[Count, Number]]


class Point(StrictModel):
    """A benchmark of one arm on one cell, at one point of a curve."""

    arm: str
    benchmark: str
    cell: str
    value: Number | None
    low: Number | None
    high: Number | None
    n_seeds: Count


class CheckpointPoint(Point):
    """A benchmark after `step` updates of the last stage."""

    step: Count


class DosePoint(Point):
    """A benchmark where a share `dose` of the demonstrations was contrary, or (`of` "documents")
    where the first stage had that share of its documents."""

    of: Literal["contrary", "documents"] = "contrary"
    dose: Share


class Curves(StrictModel):
    """Loss, checkpoint and conflict-dose curves; each list may be empty."""

    loss: list[LossCurve]
    checkpoints: list[CheckpointPoint]
    dose: list[DosePoint]
