"""The study file: arms x seeds x benchmarks, from one YAML file to one report.

`load_study` reads it strictly and checks every name that one part uses of another (a stage's
corpus, an arm's stage, a contrast's arm), each at its own line. Leaves out: what the names cost
and how stages are shared (plan.py), and the stages' own options (train/config.py).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from whyfirst.config import (
    LocatedError,
    StrictModel,
    affects_output,
    load_yaml,
    runtime_only,
)
from whyfirst.evaluate.benchmark import BENCHMARKS
from whyfirst.registry import did_you_mean
from whyfirst.strict_yaml import Location
from whyfirst.train.config import StageConfig

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Count = Annotated[int, Field(ge=1)]


class HearthWorld(StrictModel):
    """The embedded world a study runs on."""

    name: Literal["hearth"] = affects_output()
    seed: int = affects_output(default=1, ge=0)


class HearthModel(StrictModel):
    """The base model that ships with the world named under ``world``."""

    source: Literal["hearth"] = affects_output()


class FolderModel(StrictModel):
    """A Hugging Face causal model: a local folder, or a Hub id with a pinned revision."""

    source: Literal["pretrained"] = affects_output()
    path: str = affects_output(description="local folder (relative to the study file) or Hub id")
    revision: str | None = affects_output(default=None)


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


ModelConfig = Annotated[HearthModel | FolderModel | ScratchModel, Field(discriminator="source")]


class HearthCorpus(StrictModel):
    """Documents or demonstrations of the embedded world's template teacher."""

    source: Literal["hearth"] = affects_output()
    documents: Literal[
        "explanations", "rules", "shuffled", "neutral", "replay", "demonstrations"
    ] = affects_output()
    value: str | None = affects_output(default=None, description="the value explained")
    tokens: int | None = affects_output(default=None, ge=1, description="matched to 0.5 %")
    size: int | None = affects_output(default=None, ge=1, description="rows, where not tokens")
    contrary: float = affects_output(default=0.0, ge=0, le=1)


class ConstitutionCorpus(StrictModel):
    """Documents of the template teacher about the values of a constitution."""

    source: Literal["constitution"] = affects_output()
    constitution: str = affects_output(description="a shipped name or a YAML file")
    documents: Literal["explanations", "rules", "shuffled", "neutral"] = affects_output()
    values: tuple[str, ...] | None = affects_output(default=None)
    tokens: int = affects_output(ge=1, description="matched to 0.5 %")


class HHCorpus(StrictModel):
    """Rows of HH-RLHF: the training half of a split by prompt hash."""

    source: Literal["hh_rlhf"] = affects_output()
    path: str = runtime_only(description="file or folder; its content is fingerprinted")
    documents: Literal["demonstrations", "pairs", "texts"] = affects_output()
    held_out: float = affects_output(default=0.5, gt=0, lt=1)
    size: int | None = affects_output(default=None, ge=1)
    max_characters: int | None = affects_output(default=None, ge=1)


class FileCorpus(StrictModel):
    """A JSONL file with the stage's columns."""

    source: Literal["file"] = affects_output()
    path: str = runtime_only(description="its content is fingerprinted")


CorpusConfig = Annotated[
    HearthCorpus | ConstitutionCorpus | HHCorpus | FileCorpus, Field(discriminator="source")
]


class StageUse(StrictModel):
    """A stage of the study: its options, and the corpora it reads."""

    data: Name = affects_output(description="the corpus it trains on")
    replay_data: Name | None = affects_output(default=None)
    train: StageConfig = affects_output()


class BenchmarkUse(StrictModel):
    """A benchmark of the study and its options."""

    data: str | None = runtime_only(default=None, description="its content is fingerprinted")
    held_out: float | None = affects_output(default=None, gt=0, lt=1)
    max_characters: int | None = affects_output(default=None, ge=1)
    limit: int | None = affects_output(default=None, ge=1)


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
    claimed: tuple[ClaimedFigure, ...] = runtime_only(default=())

    def seeds_of(self, arm: str) -> range:
        """The seeds an arm runs with: 0 up to its number."""
        return range(self.seeds.get(arm, self.seeds["default"]))

    @model_validator(mode="after")
    def _names_exist(self) -> "Study":
        problems = list(_dangling(self))
        if problems:
            raise LocatedError(problems)
        return self


def _missing(at: Location, name: str, known: Any, what: str) -> Iterator[tuple[Location, str]]:
    if name not in known:
        yield at, f"{what} {name!r} is not defined{did_you_mean(name, known)}"


def _dangling(study: Study) -> Iterator[tuple[Location, str]]:
    """Every use of a name that is not defined, at the place of its use."""
    yield from _dangling_stages(study)
    for arm, stages in study.arms.items():
        for index, stage_name in enumerate(stages):
            yield from _missing(("arms", arm, index), stage_name, study.stages, "stage")
            if stage_name in stages[:index]:
                yield ("arms", arm, index), f"stage {stage_name!r} comes twice in one arm"
    for arm in study.arm_notes:
        yield from _missing(("arm_notes", arm), arm, study.arms, "arm")
    if "default" not in study.seeds:
        yield ("seeds",), "needs the key 'default'"
    for arm in study.seeds:
        if arm != "default":
            yield from _missing(("seeds", arm), arm, study.arms, "arm")
    for name in study.benchmarks:
        yield from _missing(("benchmarks", name), name, BENCHMARKS.names(), "benchmark")
    yield from _dangling_model(study)
    yield from _dangling_contrasts(study)
    yield from _dangling_curves(study)
    yield from _world_needed(study)


def _dangling_stages(study: Study) -> Iterator[tuple[Location, str]]:
    for name, stage in study.stages.items():
        yield from _missing(("stages", name, "data"), stage.data, study.corpora, "corpus")
        at: Location = ("stages", name, "replay_data")
        if stage.replay_data is not None:
            yield from _missing(at, stage.replay_data, study.corpora, "corpus")
        replays = stage.train.kind == "explain" and stage.train.replay > 0
        if replays and stage.replay_data is None:
            yield ("stages", name), "train.replay needs `replay_data`, the corpus replayed"
        if stage.replay_data is not None and not replays:
            yield at, "has no effect without `replay` above 0 in an explain stage"
        if stage.train.keep_at:
            where = ("stages", name, "train", "keep_at")
            yield where, "a study keeps weights where its `curve` asks; remove this"


def _dangling_model(study: Study) -> Iterator[tuple[Location, str]]:
    if not isinstance(study.model, ScratchModel):
        return
    name, at = study.model.tokenizer_corpus, ("model", "tokenizer_corpus")
    yield from _missing(at, name, study.corpora, "corpus")
    if getattr(study.corpora.get(name), "tokens", None) is not None:
        yield (
            at,
            (
                f"a cycle: the tokenizer is trained on {name!r}, and the tokens of {name!r} are "
                "counted with that tokenizer; name a corpus without a token budget"
            ),
        )


def _dangling_contrasts(study: Study) -> Iterator[tuple[Location, str]]:
    known = [name for name in study.benchmarks if name in BENCHMARKS.names()]
    metrics = [metric.name for name in known for metric in BENCHMARKS.get(name).metrics]
    for index, contrast in enumerate(study.contrasts):
        for arm in contrast.arms:
            yield from _missing(("contrasts", index), arm, study.arms, "arm")
        at = ("contrasts", index, "metric")
        yield from _missing(at, contrast.metric, metrics, "metric of the study's benchmarks")
    names = [contrast.name for contrast in study.contrasts]
    if len(set(names)) < len(names):
        yield ("contrasts",), "two contrasts have one name"
    if study.headline is not None:
        yield from _missing(("headline",), study.headline, names, "contrast")
    elif names:
        yield ("contrasts",), "name the contrast the study is made for: `headline: NAME`"


def _dangling_curves(study: Study) -> Iterator[tuple[Location, str]]:
    for index, arm in enumerate(study.curve.arms if study.curve else ()):
        at: Location = ("curve", "arms", index)
        yield from _missing(at, arm, study.arms, "arm")
        stages = study.arms.get(arm)
        last = study.stages.get(stages[-1]) if stages else None
        updates = last.train.updates if last else None
        if stages == ():
            yield at, f"arm {arm!r} has no stage, so no early updates"
        elif last is not None and updates is None:
            yield at, "its last stage must say its `updates` (not `epochs`) for a curve"
        elif study.curve and updates is not None and max(study.curve.at) >= updates:
            yield at, f"its last stage has {updates} updates; `at` must lie before them"
    for index, point in enumerate(study.dose_curve):
        for line, arm in point.arms.items():
            yield from _missing(("dose_curve", index, "arms", line), arm, study.arms, "arm")


def _world_needed(study: Study) -> Iterator[tuple[Location, str]]:
    corpora = {n: corpus for n, corpus in study.corpora.items() if corpus.source == "hearth"}
    asked = any(name.startswith("hearth") for name in study.benchmarks)
    if study.world is not None:
        yield from _world_names(study)
    elif corpora or asked or study.model.source == "hearth":
        yield ("study",), "uses Hearth and so needs `world: {name: hearth, seed: 1}`"
    if corpora and study.model.source != "hearth":
        yield ("model",), "Hearth's corpora need `model: {source: hearth}`"
    for name, corpus in corpora.items():
        if (corpus.size is None) == (corpus.tokens is None):
            yield ("corpora", name), "give exactly one of `size` and `tokens`"


def _world_names(study: Study) -> Iterator[tuple[Location, str]]:
    """Values, splits and framings that the embedded world does not have."""
    from whyfirst.hearth import lexicon, world
    from whyfirst.hearth.benchmark import SPLITS

    for key, given, fixed in (
        ("value", study.value, world.TAUGHT),
        ("other_value", study.other_value, world.OTHER),
    ):
        if given is not None and given != fixed:
            yield (key,), f"{given!r}: Hearth's benchmarks measure {fixed!r} here"
    for name, corpus in study.corpora.items():
        if corpus.source == "hearth" and corpus.documents == "explanations":
            at: Location = ("corpora", name, "value") if corpus.value else ("corpora", name)
            yield from _missing(at, str(corpus.value), lexicon.VALUE_IDS, "value")
    for group, framings in study.cells.items():
        for index, framing in enumerate(framings):
            yield from _missing(("cells", group, index), framing, lexicon.FRAMINGS, "framing")
    for index, contrast in enumerate(study.contrasts):
        splits, framing = contrast.cell.split("/", 1)
        at = ("contrasts", index, "cell")
        yield from _missing(at, framing, ["*", *study.cells, *lexicon.FRAMINGS], "framing")
        for split in splits.split("+") if splits != "*" else ():
            yield from _missing(at, split, SPLITS, "split")


def load_study(path: Path) -> Study:
    """Read and check a study file.

    Raises:
        ConfigError: everything wrong with it, a line each, before anything is loaded.
    """
    return load_yaml(path, Study)
