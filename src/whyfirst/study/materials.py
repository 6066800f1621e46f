"""What a study is made of, as its file says it: the world, the model, corpora, what is written.

Leaves out: stages, arms and what is measured (schema.py).
"""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Discriminator, Field, Tag

from whyfirst.config.room import Room, Use, use_of
from whyfirst.config.strict import LocatedError, StrictModel, affects_output, runtime_only
from whyfirst.data.transforms import SELECTORS, TRANSFORMS
from whyfirst.explain.filters import FilterOptions
from whyfirst.explain.template import TEACHER as TEMPLATE
from whyfirst.explain.write import MIN_YIELD
from whyfirst.models.reference import ModelRef
from whyfirst.study.decisive import decisive_options
from whyfirst.study.sources import CORPORA
from whyfirst.train.config_base import added_later
from whyfirst.worlds import WORLDS

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Count = Annotated[int, Field(ge=1)]
U = TypeVar("U", bound=Use)


def _with_defaults(room: Room[Any], use: U) -> U:
    """A use with all of its options, so that whoever reads the study needn't know the defaults."""
    options = room.filled(use).model_dump(mode="json")
    return use.model_copy(update=options)


def known_world(use: Use) -> Use:
    """A world that there is, with all of its options."""
    return _with_defaults(WORLDS, WORLDS.checked(use))


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


def known_corpus(use: CorpusUse) -> CorpusUse:
    """A corpus of a source that there is, with all of its options."""
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
    hidden_size: int = affects_output(128, ge=8, description="width")
    layers: int = affects_output(3, ge=1, description="number of layers")
    heads: int = affects_output(4, ge=1, description="attention heads a layer")
    intermediate_size: int = affects_output(256, ge=8, description="width of the feed-forward part")
    vocab_size: int = affects_output(2048, ge=260, description="tokens of the tokenizer trained")
    max_length: int = affects_output(512, ge=16, description="longest text in tokens")
    seed: int = affects_output(0, ge=0, description="of the initial weights")


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
        None, description="null: the study's `value`, or all where it names none"
    )
    plan: str | None = runtime_only(
        None, description="folder of an edited plan; its content is fingerprinted"
    )
    against: tuple[str, ...] = runtime_only(
        (),
        description="files (or PATH:COLUMN) whose prompts no document may repeat; their content "
        "is fingerprinted",
    )
    judge: ModelRef | None = affects_output(
        None, description="says which documents speak against their value"
    )
    filters: FilterOptions = affects_output(
        FilterOptions(), description="what a document must be to be kept"
    )
    seed: int = affects_output(0, ge=0, description="the corpus', not the study's")
    min_yield: float = runtime_only(
        MIN_YIELD, ge=0, le=1, description="kept a call; below it, the writing stops"
    )

    def values_for(self, taught: str | None) -> tuple[str, ...] | None:
        """The values written of, in a study that teaches `taught`; None for all."""
        if self.values is None and taught is not None and self.plan is None:
            return (taught,)
        return None if self.values == "all" else self.values
