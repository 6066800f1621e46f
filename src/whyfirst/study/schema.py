"""The sections of a study file: arms x seeds x benchmarks, and what they are made of.

Leaves out: the names that one section uses of another (names.py), what it costs and how stages are
shared (plan.py), and the stages' own options (train/).
"""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_serializer,
    model_validator,
)

from whyfirst.config.room import Room, Use, use_of
from whyfirst.config.strict import LocatedError, StrictModel, affects_output, runtime_only
from whyfirst.data.transforms import SELECTORS, TRANSFORMS
from whyfirst.evaluate.judges import CALIBRATIONS, JUDGES
from whyfirst.explain.filters import FilterOptions
from whyfirst.explain.template import TEACHER as TEMPLATE
from whyfirst.explain.write import MIN_YIELD
from whyfirst.models.decoding import DECODINGS
from whyfirst.models.edits import EDITS
from whyfirst.models.reference import ModelRef
from whyfirst.study.decisive import decisive_options
from whyfirst.study.sources import CORPORA
from whyfirst.train.config import StageConfig
from whyfirst.train.config_base import added_later
from whyfirst.worlds import WORLDS

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Count = Annotated[int, Field(ge=1)]
U = TypeVar("U", bound=Use)


# -- the world, the model and the corpora --------------------------------------------------


def _with_defaults(room: Room[Any], use: U) -> U:
    """A use with all of its options, so that whoever reads the study needn't know the defaults."""
    options = room.filled(use).model_dump(mode="json")
    return use.model_copy(update=options)


def _world(use: Use) -> Use:
    use = WORLDS.checked(use)
    return _with_defaults(WORLDS, use)


class Selection(Use):
    """A selector and how many rows it keeps."""

    n: Count = affects_output(description="rows kept")


class CorpusUse(Use):
    """Rows that stages train on: the `source` that gives them, and its options."""

    name: str = affects_output(alias="source", description="`whyfirst list corpora`")
    transforms: list[Annotated[Use, use_of(TRANSFORMS)]] = added_later(
        [], description="what is made of the source's rows, in order; `whyfirst list transforms`"
    )
    select: Annotated[Selection, use_of(SELECTORS)] | None = added_later(
        None, description="which rows are kept, after the transforms; `whyfirst list selectors`"
    )

    def for_fingerprint(self) -> dict[str, Any]:
        """See `decisive`."""
        return {"source": self.name} | decisive_options(CORPORA, self) | self.made_of

    @property
    def made_of(self) -> dict[str, Any]:
        """What identifies the transforms and the selector, where there are any."""
        mark: dict[str, Any] = {}
        if self.transforms:
            mark["transforms"] = [TRANSFORMS.identity(use) for use in self.transforms]
        if self.select is not None:
            mark["select"] = SELECTORS.identity(self.select) | {"n": self.select.n}
        return mark


def _corpus(use: CorpusUse) -> CorpusUse:
    problems = list(CORPORA.problems(use))
    if problems:
        raise LocatedError([(("source",) if at == ("name",) else at, said)
                            for at, said in problems])  # fmt: skip
    return _with_defaults(CORPORA, use)


class WorldModel(StrictModel):
    """The base model that ships with the world named under ``world``."""

    source: str = affects_output(description="the world's name")


class PretrainedModel(ModelRef):
    """A causal model: a local folder (relative to the study file), a Hub id with its revision
    pinned to a commit, or, for a study that trains nothing, a name at an endpoint."""

    source: Literal["pretrained"] = affects_output()


class ScratchModel(StrictModel):
    """A randomly initialised model and a tokenizer trained on one of the study's corpora."""

    source: Literal["scratch"] = affects_output()
    tokenizer_corpus: Name = affects_output(description="corpus the tokenizer is trained on")
    hidden_size: int = affects_output(default=128, ge=8, description="width")
    layers: int = affects_output(default=3, ge=1, description="number of layers")
    heads: int = affects_output(default=4, ge=1, description="attention heads a layer")
    intermediate_size: int = affects_output(
        default=256, ge=8, description="width of the feed-forward part"
    )
    vocab_size: int = affects_output(
        default=2048, ge=260, description="tokens of the tokenizer trained"
    )
    max_length: int = affects_output(default=512, ge=16, description="longest text in tokens")
    seed: int = affects_output(default=0, ge=0, description="of the initial weights")


def _kind_of_model(given: Any) -> str:
    source = given.get("source") if isinstance(given, dict) else getattr(given, "source", None)
    return str(source) if source in ("pretrained", "scratch") else "world"


ModelConfig = Annotated[
    Annotated[PretrainedModel, Tag("pretrained")]
    | Annotated[ScratchModel, Tag("scratch")]
    | Annotated[WorldModel, Tag("world")],
    Discriminator(_kind_of_model),
]


def _grammar(given: Any) -> Any:
    """`template` is no model."""
    if given == TEMPLATE:
        return None
    if isinstance(given, str):
        raise ValueError(
            f"is {TEMPLATE!r} (the grammar) or a model: {{path: FOLDER}} or "
            "{endpoint: URL, model: NAME}"
        )
    return given


class Written(StrictModel):
    """Explanations and their controls, written from a constitution once for the whole study.

    Only the controls that a stage of an arm reads are written.
    """

    constitution: str = affects_output(description="a shipped name or a YAML file")
    teacher: Annotated[ModelRef | None, BeforeValidator(_grammar)] = affects_output(
        description="a model, or `template`: the grammar (null)"
    )
    tokens: int = affects_output(ge=1, description="of the explanations, in the model's tokens")
    values: Literal["all"] | tuple[str, ...] | None = affects_output(
        default=None, description="null: the study's `value`, or all where it names none"
    )
    plan: str | None = runtime_only(
        default=None, description="folder of an edited plan; its content is fingerprinted"
    )
    against: tuple[str, ...] = runtime_only(
        default=(),
        description="files (or PATH:COLUMN) whose prompts no document may repeat; their content "
        "is fingerprinted",
    )
    judge: ModelRef | None = affects_output(
        default=None, description="says which documents speak against their value"
    )
    filters: FilterOptions = affects_output(
        default=FilterOptions(), description="what a document must be to be kept"
    )
    seed: int = affects_output(default=0, ge=0, description="the corpus', not the study's")
    min_yield: float = runtime_only(
        default=MIN_YIELD, ge=0, le=1, description="kept a call; below it, the writing stops"
    )

    def values_for(self, taught: str | None) -> tuple[str, ...] | None:
        """The values written of, in a study that teaches `taught`; None for all."""
        if self.values is None and taught is not None and self.plan is None:
            return (taught,)
        return None if self.values == "all" else self.values


# -- stages and arms -----------------------------------------------------------------------


class StageUse(StrictModel):
    """A stage of the study: its options, and the corpora it reads."""

    data: Name = affects_output(
        default="", description="the corpus it trains on; left out where the kind reads no rows"
    )
    replay_data: Name | None = affects_output(
        default=None, description="corpus mixed in so that what is known is kept"
    )
    reward_from: Name | None = added_later(
        None,
        description="stage of kind reward, trained from the study's model once a seed, whose model "
        "is the reward; null: the arm's own, a stage of kind reward before this one",
    )
    train: StageConfig = affects_output(description="the stage's kind and options")


class Arm(StrictModel):
    """A named list of stages, and what is put round its model when it answers.

    A plain list is its stages.
    """

    stages: tuple[Name, ...] = affects_output(
        default=(), description="names of its stages, in order"
    )
    edits: tuple[Annotated[Use, use_of(EDITS)], ...] = added_later(
        (), description="hooks on activations while it answers; `whyfirst list edits`"
    )
    decoding: tuple[Annotated[Use, use_of(DECODINGS)], ...] = added_later(
        (), description="inference-time methods, the innermost first; `whyfirst list decodings`"
    )

    @model_validator(mode="before")
    @classmethod
    def _from_stages(cls, value: Any) -> Any:
        given = {"stages": value} if isinstance(value, list | tuple) else value
        if not isinstance(given, dict):
            raise ValueError(f"expected a list, as [one, two], found {given!r}")
        # What a validator has seen is no JSON any more, and a list of it would fill no tuple.
        return {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}

    @model_serializer(mode="wrap")
    def _as_written(self, handler: Any) -> Any:
        return handler(self) if self.dressed else list(self.stages)

    @property
    def dressed(self) -> bool:
        """Whether anything is put round its model."""
        return bool(self.edits or self.decoding)

    def for_fingerprint(self) -> Any:
        """See `decisive`; a list of stages is what it was before there was more to an arm."""
        if not self.dressed:
            return list(self.stages)
        edits = [EDITS.identity(use) for use in self.edits]
        decoding = [DECODINGS.identity(use) for use in self.decoding]
        return {"stages": list(self.stages), "edits": edits, "decoding": decoding}


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

    data: str | None = runtime_only(default=None, description="its content is fingerprinted")
    held_out: float | None = affects_output(
        default=None, gt=0, lt=1, description="score only this share of the data, never trained on"
    )
    max_characters: int | None = affects_output(
        default=None, ge=1, description="leave out items with longer texts"
    )
    limit: int | None = affects_output(default=None, ge=1, description="about this many items")
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
        default="*/*", pattern=r"^[^/]+/[^/]+$", description="split/framing, e.g. B+C/unseen"
    )
    a: Name = affects_output(description="the first arm")
    b: Name | None = affects_output(
        default=None, description="the second arm; left out in an interaction"
    )
    documents: Name | None = affects_output(
        default=None, description="interaction: the arm with documents alone"
    )
    demonstrations: Name | None = affects_output(
        default=None, description="interaction: the arm with demonstrations alone"
    )
    neither: Name | None = affects_output(
        default=None, description="interaction: the arm with neither"
    )

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

    name: Name = affects_output()
    title: str = runtime_only(default="", description="for the report; empty: its name")
    a: Name = affects_output(description="an arm")
    b: Name = affects_output(description="the arm it is held against")
    prompts: str = affects_output(
        description="a benchmark of the study, or a JSONL file with `prompt`"
    )
    judge: Annotated[Use, use_of(JUDGES)] = affects_output(description="`whyfirst list judges`")
    calibrations: tuple[Annotated[Use, use_of(CALIBRATIONS)], ...] = affects_output(
        default=(), description="what makes the judge a better one, the innermost first"
    )
    limit: Count | None = affects_output(default=None, description="the first prompts; null: all")
    max_new_tokens: Count | None = affects_output(default=None, description="null: 256")

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
    seeds: int = affects_output(default=3, ge=1, description="seeds 0 up to this number")


class DosePoint(StrictModel):
    """One dose of the conflict-dose curve: for each line of the figure, the arm that got it."""

    dose: float = affects_output(ge=0, le=1, description="share of contrary demonstrations")
    arms: dict[Name, Name] = affects_output(description="line of the figure to the arm that got it")


class ProbeUse(StrictModel):
    """What is looked at inside the models of a study's arms, after their last stage.

    A study in a world needs no pairs of its own; any other one names a file of them or a
    constitution.
    """

    probes: tuple[str, ...] = affects_output(min_length=1, description="`whyfirst list probes`")
    arms: tuple[str, ...] | None = affects_output(default=None, description="null: every arm")
    seeds: Count | None = affects_output(
        default=None, description="seeds 0 up to this number; null: all that an arm has"
    )
    values: tuple[str, ...] | None = affects_output(
        default=None, description="whose pairs; null: every value's"
    )
    limit: int | None = affects_output(
        default=None, ge=1, description="about this many of the world's requests"
    )
    constitution: str | None = affects_output(
        default=None, description="pairs from its behaviours: a shipped name or a YAML file"
    )
    pairs: str | None = runtime_only(default=None, description="its content is fingerprinted")
    requests: str | None = runtime_only(default=None, description="its content is fingerprinted")


class OverlapLimit(StrictModel):
    """How much of what is trained on may repeat what a benchmark asks.

    Documents of a first stage may not at all. Of demonstrations, pairs, prompts and replay such
    rows are counted, and told by plan and report.
    """

    most: float | None = runtime_only(
        default=None, ge=0, le=1, description="share of a corpus' rows that may; null: any"
    )


class ClaimedFigure(StrictModel):
    """A figure published elsewhere; the report prints it as claimed and never as ours."""

    metric: str = runtime_only(description="what was measured")
    baseline: str | float = runtime_only(description="the figure claimed of the baseline")
    method: str | float = runtime_only(description="the figure claimed of the method")
    source: str = runtime_only(description="where it was published")


class StudyFile(StrictModel):
    """The whole file, its names not yet held against each other."""

    study: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")] = affects_output(
        description="short name: small letters, digits and -; also the run's folder"
    )
    title: str = runtime_only(description="what stands on top of the report")
    description: str = runtime_only(default="", description="a sentence or two for the report")
    plugins: tuple[str, ...] = runtime_only(
        default=(), description="files with methods of one's own; what is used of them counts"
    )
    world: Annotated[Use, AfterValidator(_world)] | None = affects_output(
        default=None, description="the embedded world, with its seed; null for real data"
    )
    value: str | None = affects_output(default=None, description="the value taught")
    other_value: str | None = affects_output(
        default=None, description="the other value that fits the same demonstrations"
    )
    model: ModelConfig = affects_output(description="what every arm starts from")
    judge_model: ModelRef | None = added_later(
        None, description="whom the judges ask that need a model"
    )
    written: dict[Name, Written] = added_later({}, description="what `written` corpora read")
    corpora: dict[Name, Annotated[CorpusUse, AfterValidator(_corpus)]] = affects_output(
        description="rows that stages train on, by name"
    )
    stages: dict[Name, StageUse] = affects_output(description="training steps, by name")
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
        default=(), description="differences between arms, corrected together after Holm"
    )
    comparisons: tuple[ComparisonUse, ...] = added_later(
        (), description="arms whose responses are put to a judge"
    )
    headline: Name | None = affects_output(
        default=None, description="name of the contrast the study is made for"
    )
    power: PowerAssumptions | None = affects_output(
        default=None, description="what `whyfirst plan` assumes of the spread"
    )
    curve: CurveConfig | None = affects_output(
        default=None, description="the headline's metric at early updates"
    )
    dose_curve: tuple[DosePoint, ...] = affects_output(
        default=(), description="the headline's metric by share of contrary demonstrations"
    )
    seam_documents: int = added_later(
        64,
        ge=1,
        description="most documents measured at the seam, trained on and held out",
    )
    probe: ProbeUse | None = added_later(None, description="what is looked at inside the models")
    overlap: OverlapLimit = runtime_only(
        default=OverlapLimit(), description="rows that repeat what a benchmark asks"
    )
    claimed: tuple[ClaimedFigure, ...] = runtime_only(
        default=(), description="figures published elsewhere, printed as claimed"
    )
    keep: Literal["all", "last"] = runtime_only(
        default="all",
        description="`last`: once the study is finished, only the weights after each arm's last "
        "stage stay in the store; a study that needs the others has them trained again",
    )

    @property
    def endpoint(self) -> bool:
        """Whether its model is at an endpoint: it can be asked, and neither trained nor opened."""
        return isinstance(self.model, PretrainedModel) and self.model.endpoint is not None

    def seeds_of(self, arm: str) -> range:
        """The seeds an arm runs with: 0 up to its number."""
        return range(self.seeds.get(arm, self.seeds["default"]))

    def probed(self) -> dict[str, range]:
        """Arm -> the seeds whose models are probed; an arm without stages is one model."""
        use, found = self.probe, {}
        for arm in () if use is None else use.arms or self.arms:
            count = self.seeds_of(arm).stop if self.arms[arm].stages else 1
            most = count if use is None or use.seeds is None else use.seeds
            found[arm] = range(min(count, most))
        return found
