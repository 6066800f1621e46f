"""What results.json holds, schema version 2: pydantic models, reading and writing.

Every number a study reports is here, so that the HTML report, the terminal and the model cards are
views of one file. Proportions and differences are fractions, never points; a NaN is refused.
`docs/results.md` explains each field. Leaves out: how the numbers are computed (`evaluate/`), and
how they are shown (`html.py`, `terminal.py`, `card.py`).

`python -m whyfirst.report.schema` rewrites `results.schema.json` after a change here.
"""

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, JsonValue, ValidationError, model_validator

from whyfirst.config.errors import DataError, UserError, did_you_mean
from whyfirst.config.files import read_json
from whyfirst.config.strict import StrictModel
from whyfirst.report import parts
from whyfirst.report.parts import Cell as Cell
from whyfirst.report.parts import Count, Number, Share
from whyfirst.report.unit import refuse_torn
from whyfirst.stats.worlds import Spread

SCHEMA_VERSION = 2
#: versions whose files still open; each later one only added fields, all of which may be absent
READABLE = (1, 2)
SCHEMA_FILE = Path(__file__).with_name("results.schema.json")
# The only fields that may differ between two runs of one study.
TIMING_FIELDS = ("seconds", "memory_mb_peak", "cost")
BEFORE = "_before"
"""Ends the name of what was measured at the seam of the model that the first stage started from."""


class Study(StrictModel):
    """The study file and what the study is about; `overrides` is what the command changed in it,
    and `ran` the model it was run on, in words ("a model organism of 0.35 million parameters");
    `base_model` is its Hub id and `licence` its licence, as far as known; `sisters` are studies to
    be read beside it, each with what it is."""

    name: str
    title: str
    description: str
    file: str
    file_sha256: str
    value: str
    other_value: str | None
    world: dict[str, JsonValue] | None
    overrides: dict[str, str] = Field(default_factory=dict)
    ran: str = ""
    base_model: str = ""
    licence: str = ""
    sisters: dict[str, str] = Field(default_factory=dict)


class Arm(StrictModel):
    """One arm: its stages and its benchmark cells, keyed "split/framing" ("*" is all).

    `edits` and `decoding` name what is put round its model when it answers, and `used` what
    answering took (None where it wasn't counted).
    """

    stages: list[str]
    description: str
    benchmarks: dict[str, dict[str, Cell]]
    edits: list[str] = Field(default_factory=list)
    decoding: list[str] = Field(default_factory=list)
    used: parts.Used | None = None


class Benchmark(StrictModel):
    """What a benchmark measures, and which judges and chat templates its scores come from.

    `beside` names the benchmarks it misleads without; `by` the fields it is broken down by;
    `happened` what an item that passes and one that fails did; `good` which of the two a reader
    hopes for (neither: it only describes); `chance` the value that guessing has; `acts` which way a
    model that acts more goes, where it says that; `readings` what passing and failing were read as,
    where demonstrations fit two; `much` by how much worse than before training is broken; `axes`
    the 2 x 2 that leads the report.
    """

    title: str
    definition: str
    version: str
    higher_is_better: bool
    unit: Literal["proportion", "score"]
    judges: list[str] = Field(default_factory=list)
    chat_templates: list[str] = Field(default_factory=list)
    beside: list[str] = Field(default_factory=list)
    by: list[str] = Field(default_factory=list)
    source: str = ""
    licence: str = ""
    happened: tuple[str, str] = ("pass", "fail")
    good: Literal["pass", "fail", "neither"] = "pass"
    chance: Share | None = None
    acts: Literal["higher", "lower"] | None = None
    readings: tuple[str, str] | None = None
    much: float = 0.1
    axes: parts.Axes | None = None

    @property
    def worse(self) -> Literal["lower", "higher", "neither"]:
        """The direction of a difference that nobody hopes for."""
        if self.good == "neither":
            return "neither"
        return "lower" if self.higher_is_better else "higher"

    @model_validator(mode="before")
    @classmethod
    def _good_as_before(cls, data: Any) -> Any:
        """Files without `good`: a rate of something unwanted passes when it happens."""
        if isinstance(data, dict) and "good" not in data:
            unwanted = data.get("unit") == "proportion" and data.get("higher_is_better") is False
            return data | {"good": "fail" if unwanted else "pass"}
        return data


class SeedRow(StrictModel):
    """One seed of a contrast; `reading` says what its demonstrations were read as, if counted."""

    seed: int
    a: Number | None
    b: Number | None
    difference: Number | None
    n_items: Count
    unscored: Count
    mcnemar_p: Share | None
    reading: str = ""


class Contrast(StrictModel):
    """One comparison of arms: `difference` is a minus b, as a fraction.

    `unit` "worlds" says that each seed is a world of its own and one number; `worlds` says how they
    spread. `role` is what the study decides by: `p_adjusted` is Holm's over its primary contrasts
    (None of a secondary one), or over all where none has a role. `exact_p` turns the signs of the
    seeds' differences. `dropped` are seeds in which an arm gave nothing that could be scored.
    """

    name: str
    title: str
    kind: Literal["difference", "interaction"]
    a: str
    b: str
    benchmark: str
    cell: str
    difference: Number | None
    low: Number | None
    high: Number | None
    p: Share | None
    p_adjusted: Share | None
    mde: Number | None
    n_items: Count
    n_seeds: Count
    unscored: Count
    unit: Literal["worlds", "seeds", "topics", "items"]
    per_seed: list[SeedRow]
    role: Literal["", "primary", "secondary"] = ""
    exact_p: Share | None = None
    dropped: list[int] = Field(default_factory=list)
    worlds: Spread | None = None
    by_kind: list[parts.KindRow] = Field(default_factory=list)


class MatchRow(StrictModel):
    """How one arm's stage was matched with the others in tokens and weight updates."""

    arm: str
    stage: str
    corpus: str
    documents: Count
    tokens: Count
    updates: Count
    ratio_tokens: Number
    ratio_updates: Number
    ok: bool


class UnscoredRow(StrictModel):
    """What could not be scored, and why."""

    arm: str
    benchmark: str
    n: Count
    unscored: Count
    rate: Share
    reasons: dict[str, Count]


class Recall(StrictModel):
    """What the model holds after the first stage, as one number: recall of the value, or its loss
    on documents held out (`unit` "score", `higher_is_better` false). `gain` is by how much more
    than before any stage, paired by item and seed; None where that wasn't asked."""

    value: Number | None
    low: Number | None
    high: Number | None
    n: Count
    n_seeds: Count
    title: str = ""
    unit: Literal["proportion", "score"] = "proportion"
    higher_is_better: bool = True
    gain: parts.Interval | None = None

    @property
    def answers(self) -> int:
        """As of a cell; all of them are scored."""
        return self.n


class Response(StrictModel):
    """One arm's answer to an example."""

    text: str
    verdict: Literal["pass", "fail", "unscored"]


class Example(StrictModel):
    """One prompt and every arm's answer to it, under the metric `benchmark`."""

    prompt: str
    split: str | None
    framing: str | None
    group: str | None
    wants: str = ""
    responses: dict[str, Response]
    benchmark: str = ""
    offensive: bool = False


class Cost(StrictModel):
    """What this run did; differs between runs."""

    computed: Count
    reused: Count
    seconds_total: Number


class Results(StrictModel):
    """The whole of results.json."""

    schema_version: Literal[1, 2]
    study: Study
    command: str
    versions: dict[str, str]
    seeds: dict[str, list[int]]
    arms: dict[str, Arm]
    benchmarks: dict[str, Benchmark]
    contrasts: list[Contrast]
    headline: str
    matching: list[MatchRow]
    unscored: list[UnscoredRow]
    recall: dict[str, dict[str, Recall]]
    curves: parts.Curves
    examples: list[Example]
    registration: parts.Registration
    fingerprints: dict[str, str]
    claimed: list[parts.Claimed]
    notes: list[str]
    seconds: dict[str, Number]
    memory_mb_peak: Number | None
    cost: Cost
    groups: list[parts.GroupTable] = Field(default_factory=list)
    gaps: list[parts.GapRow] = Field(default_factory=list)
    judges: dict[str, parts.JudgeRow] = Field(default_factory=dict)
    corrected: list[parts.CorrectedRow] = Field(default_factory=list)
    probes: list[parts.ProbeRow] = Field(default_factory=list)
    spent: dict[str, str] = Field(default_factory=dict)
    comparisons: list[parts.Comparison] = Field(default_factory=list)
    stages: dict[str, parts.StageRow] = Field(default_factory=dict)
    kinds: list[parts.KindTable] = Field(default_factory=list)

    @model_validator(mode="after")
    def _names_exist(self) -> "Results":
        """A report with a dangling name would silently show less than was measured."""
        # The headline is found by name, so a second one of that name could take its place.
        names = [contrast.name for contrast in self.contrasts]
        if len(set(names)) != len(names):
            raise ValueError("contrasts: two contrasts have the same name")
        if (self.headline or names) and self.headline not in names:
            raise ValueError(f"headline: {self.headline!r} is not the name of a contrast")
        used = {(f"arms.{name}", key) for name, arm in self.arms.items() for key in arm.benchmarks}
        used |= {(f"contrasts.{c.name}", c.benchmark) for c in self.contrasts}
        used |= {("groups", table.benchmark) for table in self.groups}
        used |= {("gaps", row.benchmark) for row in self.gaps}
        used |= {("corrected", row.benchmark) for row in self.corrected}
        for where, benchmark in sorted(used):
            if benchmark not in self.benchmarks:
                raise ValueError(f"{where}: {benchmark!r} is not described in `benchmarks`")
        return self

    def arm(self, name: str, asked_by: str = "") -> Arm:
        """One of the study's arms.

        Raises:
            UserError: there is none of that name; begins with `asked_by`, and gives the nearest.
        """
        if name not in self.arms:
            hint, known = did_you_mean(name, self.arms), ", ".join(self.arms)
            raise UserError(f"{asked_by}{name!r} is not an arm of this study{hint}; it has {known}")
        return self.arms[name]

    def lone(self, name: str) -> bool:
        """Whether an arm is one model whatever the seed: untrained, and in no world."""
        return not self.arm(name).stages and self.study.world is None

    def headline_contrast(self) -> Contrast | None:
        """The contrast the study was made for, or None where a study has no contrasts."""
        return next((c for c in self.contrasts if c.name == self.headline), None)


def results_to_json(results: Results) -> dict[str, Any]:
    """`results` as JSON-able data, ready for `files.write_json`."""
    return results.model_dump(mode="json")


def without_timings(data: dict[str, Any]) -> dict[str, Any]:
    """`data` less the fields that may differ between two runs of one study."""
    kept = {key: value for key, value in data.items() if key not in TIMING_FIELDS}
    for name, arm in kept.get("arms", {}).items():
        if arm.get("used"):
            used = {key: value for key, value in arm["used"].items() if key != "seconds"}
            kept["arms"] = {**kept["arms"], name: {**arm, "used": used}}
    return kept


def load_results(path: Path) -> Results:
    """Read and check a results.json.

    Raises:
        DataError: the file can't be read, isn't JSON, is of another schema version or doesn't fit
            the schema; names the file and every field that is wrong. Or it is no whole report's.
    """
    refuse_torn(path)
    return parse_results(read_json(path), str(path))


def parse_results(data: object, where: str) -> Results:
    """Check decoded JSON against the schema; `where` names its source in messages."""
    if not isinstance(data, dict):
        raise DataError(f"{where}: results must be a JSON object, not {type(data).__name__}")
    version = data.get("schema_version")
    # True == 1 in Python.
    if version not in READABLE or isinstance(version, bool):
        raise DataError(
            f"{where}: results of schema version {version!r}, this program reads versions "
            f"{' and '.join(map(str, READABLE))}: run the study again with it, or read the file "
            "with the version that wrote it"
        )
    try:
        return Results.model_validate(data)
    except ValidationError as error:
        lines = [
            f"{where}: {'.'.join(str(part) for part in item['loc']) or 'results'}: {item['msg']}"
            for item in error.errors()
        ]
        raise DataError("\n".join(lines)) from None


def json_schema() -> dict[str, Any]:
    """The JSON Schema of results.json, as shipped beside this file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"whyfirst/results/{SCHEMA_VERSION}",
        **Results.model_json_schema(),
    }


if __name__ == "__main__":
    SCHEMA_FILE.write_text(
        json.dumps(json_schema(), indent=1, sort_keys=True) + "\n", encoding="utf-8"
    )
