"""The sections of a study file: arms x seeds x benchmarks, and what is measured.

Leaves out: what a study is made of (materials.py), the names that one section uses of another
(names.py), what it costs and how stages are shared (plan.py), the stages' own options (train/).
"""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from whyfirst.config.room import Use, use_of
from whyfirst.config.strict import StrictModel, added_later, affects_output, runtime_only
from whyfirst.evaluate.judges import CALIBRATIONS, JUDGES
from whyfirst.models.reference import ModelRef
from whyfirst.report.parts import Claimed
from whyfirst.study.materials import (
    Arm,
    CorpusUse,
    Count,
    ModelConfig,
    Name,
    PretrainedModel,
    StageName,
    StageUse,
    Written,
    known_corpus,
    known_world,
)
from whyfirst.worlds import WORLDS


def _seeds(given: Any) -> Any:
    """`3` and `[0, 1, 2]` are three seeds for every arm."""
    if isinstance(given, int) and not isinstance(given, bool):
        return {"default": given}
    if isinstance(given, list) and given:
        if given != list(range(len(given))):
            raise ValueError(
                f"seeds are counted from 0: {given} can't be chosen; give how many, as "
                f"{{default: {len(given)}}}"
            )
        return {"default": len(given)}
    return given


# -- what is measured ----------------------------------------------------------------------


class BenchmarkUse(StrictModel):
    """A benchmark of the study, who judges, and its options.

    The options named here are those of several benchmarks; others are a benchmark's own. All are
    checked against the benchmark's.
    """

    model_config = ConfigDict(extra="allow")

    data: str | None = runtime_only(None, description="its content is fingerprinted")
    held_out: float | None = affects_output(
        None, gt=0, lt=1, description="score only this share of the data, never trained on"
    )
    max_characters: int | None = affects_output(
        None, ge=1, description="leave out items with longer texts"
    )
    limit: int | None = affects_output(
        None, ge=1, description="about this many items; null: all; absent: the benchmark's own"
    )
    judges: tuple[str, ...] = added_later(
        (), description="who says what a response is, one for each question; `list scorers`"
    )
    framings: tuple[str, ...] | None = added_later(None, description="null: its default ones")
    behaviours: tuple[str, ...] | None = added_later(None, description="null: every set found")
    max_new_tokens: int | None = added_later(
        None, ge=1, description="longest response; null: the benchmark's own"
    )

    @property
    def own(self) -> dict[str, Any]:
        """The options that only this benchmark has."""
        return dict(self.model_extra or {})

    @property
    def nulls(self) -> list[str]:
        """The options given as null, which says something else than nothing where a benchmark's
        own default isn't null: a limit of none."""
        given = self.model_fields_set | set(self.own)
        return sorted(name for name in given if getattr(self, name) is None)

    @property
    def options(self) -> dict[str, Any]:
        """The benchmark's options, of those that were given."""
        every = self.model_dump(mode="json", exclude={"judges"})
        return {name: value for name, value in every.items() if value is not None}


class ContrastConfig(StrictModel):
    """A difference between two arms on one cell of a metric: ``a`` minus ``b``.

    An interaction is ``a - documents - demonstrations + neither`` over four arms.
    """

    name: Name = affects_output(description="short name")
    title: str = runtime_only(description="words for people")
    metric: Name = affects_output(description="which metric of the benchmarks")
    cell: str = affects_output(
        "*/*", pattern=r"^[^/]+/[^/]+$", description="split/framing, e.g. B+C/unseen"
    )
    a: Name = affects_output(description="the first arm")
    b: Name | None = affects_output(None, description="the second arm; left out in an interaction")
    documents: Name | None = affects_output(
        None, description="interaction: the arm with documents alone"
    )
    demonstrations: Name | None = affects_output(
        None, description="interaction: the arm with demonstrations alone"
    )
    neither: Name | None = affects_output(None, description="interaction: the arm with neither")

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


class ComparisonUse(StrictModel):
    """Two arms' responses to the same prompts, put to a judge in both orders: a win rate."""

    name: Name = affects_output(description="what the report calls it by")
    title: str = runtime_only("", description="for the report; empty: its name")
    a: Name = affects_output(description="an arm")
    b: Name = affects_output(description="the arm it is held against")
    prompts: str = affects_output(
        description="a benchmark of the study, or a JSONL file with `prompt`"
    )
    judge: Annotated[Use, use_of(JUDGES)] = affects_output(description="`whyfirst list judges`")
    calibrations: tuple[Annotated[Use, use_of(CALIBRATIONS)], ...] = affects_output(
        (), description="what makes the judge a better one, the innermost first"
    )
    limit: Count | None = affects_output(None, description="the first prompts; null: all")
    max_new_tokens: Count | None = affects_output(
        None, description="longest response; null: what the study gives that benchmark, else 256"
    )

    @model_validator(mode="after")
    def _two_arms(self) -> "ComparisonUse":
        if self.a == self.b:
            raise ValueError("compares an arm with itself")
        return self


class PowerAssumptions(StrictModel):
    """What the power calculation before the run assumes, measured on a pilot (fractions)."""

    seed_sd: float = affects_output(ge=0, description="spread between seeds")
    topic_sd: float = affects_output(ge=0, description="spread between topics")
    residual_sd: float = affects_output(ge=0, description="what is left")
    source: str = runtime_only(description="where the figures come from")


class CurveConfig(StrictModel):
    """The checkpoint curve: the headline metric at early updates of the last stage."""

    at: tuple[Count, ...] = affects_output(min_length=1, description="updates of the last stage")
    arms: tuple[Name, ...] = affects_output(min_length=1, description="whose")
    seeds: int = affects_output(3, ge=1, description="seeds 0 up to this number")


class DosePoint(StrictModel):
    """One point of a dose curve: for each line of the figure, the arm that got the dose."""

    of: Literal["contrary", "documents"] = added_later(
        "contrary", description="`contrary`: demonstrations; `documents`: of the first stage"
    )
    dose: float = affects_output(ge=0, le=1, description="their share")
    arms: dict[Name, Name] = affects_output(description="line of the figure to the arm that got it")


class ProbeUse(StrictModel):
    """What is looked at inside the models of a study's arms, after their last stage.

    A study in a world needs no pairs of its own; any other one names a file of them or a
    constitution.
    """

    probes: tuple[str, ...] = affects_output(min_length=1, description="`whyfirst list probes`")
    arms: tuple[str, ...] | None = affects_output(None, description="null: every arm")
    seeds: Count | None = affects_output(
        None, description="seeds 0 up to this number; null: all that an arm has"
    )
    values: tuple[str, ...] | None = affects_output(
        None, description="whose pairs; null: every value's"
    )
    limit: int | None = affects_output(
        None, ge=1, description="about this many of the world's requests"
    )
    constitution: str | None = affects_output(
        None, description="pairs from its behaviours: a shipped name or a YAML file"
    )
    pairs: str | None = runtime_only(None, description="its content is fingerprinted")
    requests: str | None = runtime_only(None, description="its content is fingerprinted")


class OverlapLimit(StrictModel):
    """How much of what is trained on may repeat what a benchmark asks.

    Documents of a first stage may not at all. Of demonstrations, pairs, prompts and replay such
    rows are counted, and told by plan and report.
    """

    most: float | None = runtime_only(
        None, ge=0, le=1, description="share of a corpus' rows that may; null: any"
    )


class StudyFile(StrictModel):
    """The whole file, its names not yet held against each other."""

    study: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")] = affects_output(
        description="short name: small letters, digits and -; also the run's folder"
    )
    title: str = runtime_only(description="what stands on top of the report")
    description: str = runtime_only("", description="a sentence or two for the report")
    sisters: dict[str, str] = runtime_only(
        default_factory=dict, description="studies to read beside this one, and what each is"
    )
    plugins: tuple[str, ...] = runtime_only(
        (), description="files with methods of one's own; what is used of them counts"
    )
    world: Annotated[Use, AfterValidator(known_world)] | None = affects_output(
        None, description="the embedded world, with its seed; null for real data"
    )
    value: str | None = affects_output(None, description="the value taught")
    other_value: str | None = affects_output(
        None, description="the other value that fits the same demonstrations"
    )
    model: ModelConfig = affects_output(description="what every arm starts from")
    judge_model: ModelRef | None = added_later(
        None, description="whom the judges ask that need a model"
    )
    written: dict[Name, Written] = added_later({}, description="what `written` corpora read")
    corpora: dict[Name, Annotated[CorpusUse, AfterValidator(known_corpus)]] = affects_output(
        description="rows that stages train on, by name"
    )
    stages: dict[StageName, StageUse] = affects_output(description="training steps, by name")
    arms: dict[Name, Arm] = affects_output(
        min_length=1, description="lists of stages, by name; [] is the base model"
    )
    arm_notes: dict[Name, str] = runtime_only(
        default_factory=dict, description="a sentence for each arm, for the report"
    )
    seeds: Annotated[dict[Name, Count], BeforeValidator(_seeds)] = affects_output(
        description="number of seeds by arm, with 'default'; a number alone is the default's"
    )
    benchmarks: dict[Name, BenchmarkUse] = affects_output(
        min_length=1, description="what the models are asked; `whyfirst list benchmarks`"
    )
    cells: dict[str, tuple[str, ...]] = affects_output(
        default_factory=dict, description="groups of framings, by name, to pool in a cell"
    )
    contrasts: tuple[ContrastConfig, ...] = affects_output(
        (), description="differences between arms; see `primary`"
    )
    comparisons: tuple[ComparisonUse, ...] = added_later(
        (), description="arms whose responses are put to a judge"
    )
    primary: tuple[Name, ...] = added_later(
        (),
        description="the contrasts the study decides by, corrected together after Holm; the others "
        "are secondary and shown uncorrected; empty: all of them",
    )
    headline: Name | None = affects_output(
        None, description="name of the contrast the study is made for"
    )
    power: PowerAssumptions | None = affects_output(
        None, description="what `whyfirst plan` assumes of the spread"
    )
    curve: CurveConfig | None = affects_output(
        None, description="the headline's metric at early updates"
    )
    dose_curve: tuple[DosePoint, ...] = affects_output(
        (),
        description="the headline's metric by share of contrary demonstrations, or documents",
    )
    seam_documents: int = added_later(
        64,
        ge=1,
        description="most documents measured at the seam, trained on and held out",
    )
    probe: ProbeUse | None = added_later(None, description="what is looked at inside the models")
    overlap: OverlapLimit = runtime_only(
        OverlapLimit(), description="rows that repeat what a benchmark asks"
    )
    claimed: tuple[Claimed, ...] = runtime_only(
        (), description="figures published elsewhere, printed as claimed"
    )
    keep: Literal["all", "last"] = runtime_only(
        "all",
        description="`last`: once the study is finished, only the weights after each arm's last "
        "stage stay in the store; a study that needs the others has them trained again",
    )

    @property
    def endpoint(self) -> bool:
        """Whether its model is at an endpoint: it can be asked, and neither trained nor opened."""
        return isinstance(self.model, PretrainedModel) and self.model.endpoint is not None

    @property
    def drawn(self) -> bool:
        """Whether its seeds are worlds of their own, and so what its claims are about."""
        return self.world is not None and WORLDS.make(self.world).drawn

    def given_seeds(self, arm: str) -> range:
        """The seeds the file gives an arm: 0 up to its number."""
        return range(self.seeds.get(arm, self.seeds["default"]))

    def lone(self, arm: str) -> bool:
        """Whether an arm is one model whatever the seed: nothing is trained for it, and no world
        asks it something else at each seed."""
        return not self.arms[arm].stages and self.world is None

    def seeds_of(self, arm: str) -> range:
        """The seeds an arm runs with; of a lone one the first, since the others are the same."""
        return range(1) if self.lone(arm) else self.given_seeds(arm)

    def shared_seeds(self, arms: Iterable[str]) -> range:
        """The seeds at which all these arms are compared; a lone one stands beside every seed."""
        counts = [self.seeds_of(arm).stop for arm in arms if not self.lone(arm)]
        return range(min(counts, default=1))

    def probed(self) -> dict[str, range]:
        """Arm -> the seeds whose models are probed; an arm without stages is one model.

        Probes look at weights: without names, an arm that answers through more is none of theirs.
        """
        use, found = self.probe, {}
        bare = [name for name, arm in self.arms.items() if not arm.dressed]
        for arm in () if use is None else use.arms or bare:
            count = self.seeds_of(arm).stop if self.arms[arm].stages else 1
            most = count if use is None or use.seeds is None else use.seeds
            found[arm] = range(min(count, most))
        return found
