"""The study file: arms x seeds x benchmarks, from one YAML file to one report.

`load_study` reads it strictly, with the names that one part uses of another (names.py). Leaves out:
what it costs and how stages are shared (planning/), and the stages' own options (train/config.py).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, model_validator

from whyfirst.config.strict import (
    LocatedError,
    StrictModel,
    affects_output,
    load_yaml,
    output_fields,
    runtime_only,
)
from whyfirst.models.reference import ModelRef
from whyfirst.study.probe_use import ProbeUse
from whyfirst.study.written import WrittenCorpus, WrittenSection
from whyfirst.train.config import StageConfig
from whyfirst.train.config_base import added_later

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Count = Annotated[int, Field(ge=1)]


class HearthWorld(StrictModel):
    """The embedded world a study runs on."""

    name: Literal["hearth"] = affects_output()
    seed: int = affects_output(default=1, ge=0)


class HearthModel(StrictModel):
    """The base model that ships with the world named under ``world``."""

    source: Literal["hearth"] = affects_output()


class PretrainedModel(ModelRef):
    """A causal model: a local folder (relative to the study file), a Hub id with its revision
    pinned to a commit, or, for a study that trains nothing, a name at an endpoint."""

    source: Literal["pretrained"] = affects_output()


class ScratchModel(StrictModel):
    """A randomly initialised model and a tokenizer trained on one of the study's corpora."""

    source: Literal["scratch"] = affects_output()
    tokenizer_corpus: Name = affects_output(description="corpus the tokenizer is trained on")
    hidden_size: int = affects_output(default=128, ge=8)
    layers: int = affects_output(default=3, ge=1)
    heads: int = affects_output(default=4, ge=1)
    intermediate_size: int = affects_output(default=256, ge=8)
    vocab_size: int = affects_output(default=2048, ge=260)
    max_length: int = affects_output(default=512, ge=16)
    seed: int = affects_output(default=0, ge=0)


ModelConfig = Annotated[HearthModel | PretrainedModel | ScratchModel, Field(discriminator="source")]


class HearthCorpus(StrictModel):
    """Documents or demonstrations of the embedded world's template teacher."""

    source: Literal["hearth"] = affects_output()
    documents: Literal[
        "explanations",
        "rules",
        "shuffled",
        "neutral",
        "replay",
        "demonstrations",
        "pairs",
        "prompts",
    ] = affects_output()
    value: str | None = affects_output(default=None, description="the value explained")
    tokens: int | None = affects_output(default=None, ge=1, description="matched to 0.5 %")
    size: int | None = affects_output(default=None, ge=1, description="rows, where not tokens")
    contrary: float = affects_output(default=0.0, ge=0, le=1)


class ConstitutionCorpus(StrictModel):
    """Documents of the template teacher about the values of a constitution."""

    source: Literal["constitution"] = affects_output()
    constitution: str = affects_output(description="a shipped name or a YAML file")
    documents: Literal["explanations", "rules", "more_rules", "shuffled", "neutral"] = (
        affects_output()
    )
    values: tuple[str, ...] | None = affects_output(default=None)
    tokens: int = affects_output(ge=1, description="matched to 0.5 %")


class HHCorpus(StrictModel):
    """Rows of HH-RLHF: the training half of a split by prompt hash."""

    source: Literal["hh_rlhf"] = affects_output()
    path: str = runtime_only(description="file or folder; its content is fingerprinted")
    documents: Literal["demonstrations", "pairs", "prompts", "responses", "texts"] = (
        affects_output()
    )
    held_out: float = affects_output(default=0.5, gt=0, lt=1)
    size: int | None = affects_output(default=None, ge=1)
    max_characters: int | None = affects_output(default=None, ge=1)


class FileCorpus(StrictModel):
    """A JSONL file with the stage's columns."""

    source: Literal["file"] = affects_output()
    path: str = runtime_only(description="its content is fingerprinted")
    size: int | None = added_later(None, ge=1, description="rows, the first ones; null: all")


CorpusConfig = Annotated[
    HearthCorpus | ConstitutionCorpus | WrittenCorpus | HHCorpus | FileCorpus,
    Field(discriminator="source"),
]


class StageUse(StrictModel):
    """A stage of the study: its options, and the corpora it reads."""

    data: Name = affects_output(description="the corpus it trains on")
    replay_data: Name | None = affects_output(default=None)
    reward_from: Name | None = added_later(
        None,
        description="stage of kind reward, trained from the study's model once a seed, whose model "
        "is the reward; null: the arm's own, a stage of kind reward before this one",
    )
    train: StageConfig = affects_output()


class BenchmarkUse(StrictModel):
    """A benchmark of the study and its options."""

    data: str | None = runtime_only(default=None, description="its content is fingerprinted")
    held_out: float | None = affects_output(default=None, gt=0, lt=1)
    max_characters: int | None = affects_output(default=None, ge=1)
    limit: int | None = affects_output(default=None, ge=1)
    judges: tuple[str, ...] = added_later(
        (), description="who says what a response is, one for each question; `list judges`"
    )
    framings: tuple[str, ...] | None = added_later(None, description="null: its default ones")
    behaviours: tuple[str, ...] | None = added_later(None, description="null: every set found")
    max_new_tokens: int | None = added_later(None, ge=1)


class ContrastConfig(StrictModel):
    """A difference between two arms on one cell of a metric: ``a`` minus ``b``.

    An interaction is ``a - documents - demonstrations + neither`` over four arms.
    """

    name: Name = affects_output()
    title: str = runtime_only()
    metric: Name = affects_output()
    cell: str = affects_output(
        default="*/*", pattern=r"^[^/]+/[^/]+$", description="split/framing, e.g. B+C/unseen"
    )
    a: Name = affects_output()
    b: Name | None = affects_output(default=None)
    documents: Name | None = affects_output(default=None)
    demonstrations: Name | None = affects_output(default=None)
    neither: Name | None = affects_output(default=None)

    @property
    def is_interaction(self) -> bool:
        return self.b is None

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms compared, ``a`` first."""
        names = (self.a, self.b, self.documents, self.demonstrations, self.neither)
        return tuple(name for name in names if name is not None)

    @model_validator(mode="after")
    def _difference_or_interaction(self) -> "ContrastConfig":
        four = (self.documents, self.demonstrations, self.neither)
        if len(set(self.arms)) < len(self.arms):
            raise ValueError("compares an arm with itself")
        if (self.b is not None and any(four)) or (self.b is None and not all(four)):
            raise ValueError("give either b, or all of documents, demonstrations and neither")
        return self


class PowerAssumptions(StrictModel):
    """What the power calculation before the run assumes, measured on a pilot (fractions)."""

    seed_sd: float = affects_output(ge=0)
    topic_sd: float = affects_output(ge=0)
    residual_sd: float = affects_output(ge=0)
    source: str = runtime_only(description="where the figures come from")


class CurveConfig(StrictModel):
    """The checkpoint curve: the headline metric at early updates of the last stage."""

    at: tuple[Count, ...] = affects_output(min_length=1)
    arms: tuple[Name, ...] = affects_output(min_length=1)
    seeds: int = affects_output(default=3, ge=1)


class DosePoint(StrictModel):
    """One dose of the conflict-dose curve: for each line of the figure, the arm that got it."""

    dose: float = affects_output(ge=0, le=1)
    arms: dict[Name, Name] = affects_output()


class ClaimedFigure(StrictModel):
    """A figure published elsewhere; the report prints it as claimed and never as ours."""

    metric: str = runtime_only()
    baseline: str | float = runtime_only()
    method: str | float = runtime_only()
    source: str = runtime_only()


class Study(StrictModel):
    """The whole file."""

    study: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")] = affects_output()
    title: str = runtime_only()
    description: str = runtime_only(default="")
    world: HearthWorld | None = affects_output(default=None)
    value: str | None = affects_output(default=None, description="the value taught")
    other_value: str | None = affects_output(default=None)
    model: ModelConfig = affects_output()
    judge_model: ModelRef | None = added_later(
        None, description="whom the judges ask that need a model"
    )
    written: WrittenSection = added_later({}, description="what `written` corpora read")
    corpora: dict[Name, CorpusConfig] = affects_output()
    stages: dict[Name, StageUse] = affects_output()
    arms: dict[Name, tuple[Name, ...]] = affects_output(min_length=1)
    arm_notes: dict[Name, str] = runtime_only(default_factory=dict)
    seeds: dict[Name, Count] = affects_output(description="number of seeds by arm, with 'default'")
    benchmarks: dict[Name, BenchmarkUse] = affects_output(min_length=1)
    cells: dict[str, tuple[str, ...]] = affects_output(default_factory=dict)
    contrasts: tuple[ContrastConfig, ...] = affects_output(default=())
    headline: Name | None = affects_output(default=None)
    power: PowerAssumptions | None = affects_output(default=None)
    curve: CurveConfig | None = affects_output(default=None)
    dose_curve: tuple[DosePoint, ...] = affects_output(default=())
    probe: ProbeUse | None = added_later(None, description="what is looked at inside the models")
    claimed: tuple[ClaimedFigure, ...] = runtime_only(default=())
    keep: Literal["all", "last"] = runtime_only(
        default="all",
        description="`last`: once the study is finished, only the weights after each arm's last "
        "stage stay in the store; a study that needs the others has them trained again",
    )

    def seeds_of(self, arm: str) -> range:
        """The seeds an arm runs with: 0 up to its number."""
        return range(self.seeds.get(arm, self.seeds["default"]))

    @model_validator(mode="after")
    def _names_exist(self) -> "Study":
        from whyfirst.study.names import dangling

        problems = list(dangling(self))
        if problems:
            raise LocatedError(problems)
        return self


def load_study(path: Path) -> Study:
    """Read and check a study file.

    Raises:
        ConfigError: everything wrong with it, a line each, before anything is loaded.
    """
    return load_yaml(path, Study)


def decisive(value: Any) -> Any:
    """What of a part of the study decides its results, as JSON-able data.

    Fields that were added later and stand at their default say what their absence said, and are
    left out: else a new option would make every result of an older study a stranger.
    """
    if isinstance(value, BaseModel):
        return {
            name: decisive(getattr(value, name))
            for name in output_fields(value)
            if not _as_before(value, name)
        }
    if isinstance(value, Mapping):
        return {str(key): decisive(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [decisive(item) for item in value]
    return value


def _as_before(model: BaseModel, name: str) -> bool:
    info = type(model).model_fields[name]
    extra = info.json_schema_extra
    later = isinstance(extra, Mapping) and bool(extra.get("added_later"))
    return later and getattr(model, name) == info.default
