"""What a study is made of, as its file says it: the world, the model, corpora, stages, arms.

Leaves out: what is measured (schema.py).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    model_serializer,
    model_validator,
)

from whyfirst.config.errors import ConfigError
from whyfirst.config.room import Room, Use, use_of
from whyfirst.config.strict import (
    LocatedError,
    StrictModel,
    added_later,
    affects_output,
    runtime_only,
)
from whyfirst.data.transforms import SELECTORS, TRANSFORMS
from whyfirst.explain.explanation import Corpus
from whyfirst.explain.filters import FilterOptions
from whyfirst.explain.template import TEACHER as TEMPLATE
from whyfirst.explain.write import MIN_YIELD
from whyfirst.models.decoding import DECODINGS
from whyfirst.models.edits import EDITS
from whyfirst.models.reference import ModelRef
from whyfirst.study.sources import CORPORA
from whyfirst.train.config import StageConfig
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
        return {"source": self.name} | CORPORA.decisive(self) | self.made_of

    @property
    def made_of(self) -> dict[str, Any]:
        """What identifies the transforms and the selector, where there are any."""
        mark: dict[str, Any] = {}
        if self.transforms:
            mark["transforms"] = [TRANSFORMS.identity(use) for use in self.transforms]
        if self.select is not None:
            mark["select"] = SELECTORS.identity(self.select) | {"n": self.select.n}
        return mark


# A method's option of that name could not be given.
CORPORA.reserve(["source", *CorpusUse.model_fields])
SELECTORS.reserve(Selection.model_fields)


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

    Controls that no stage of an arm reads are written only where `documents` names them. A cell is
    kept where every control of it is, so that another set of controls has other explanations.
    """

    constitution: str = affects_output(description="a shipped name or a YAML file")
    teacher: Annotated[ModelRef | None, BeforeValidator(_grammar)] = affects_output(
        description="a model, or `template`: the grammar (null)"
    )
    tokens: int = affects_output(ge=1, description="of the explanations, in the model's tokens")
    values: Literal["all"] | tuple[str, ...] | None = affects_output(
        None, description="null: the study's `value`, or all where it names none"
    )
    documents: tuple[Corpus, ...] = added_later(
        (),
        description="what to write beside what arms read, so that arms can be added and studies "
        "share models: with other controls there are other explanations",
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


_ROUND = re.compile(r"\.([1-9][0-9]*)$")
StageName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*(\.[1-9][0-9]*)?$")]
"""A stage's name, or that of one of its rounds."""


class Loop(StrictModel):
    """Stages gone through several times in an arm."""

    repeat: int = affects_output(ge=1, description="how often")
    stages: tuple[Name, ...] = affects_output(min_length=1, description="in order")


if TYPE_CHECKING:
    Step = str
else:
    Step = Annotated[
        Annotated[StageName, Tag("stage")] | Annotated[Loop, Tag("loop")],
        Discriminator(lambda given: "loop" if isinstance(given, dict | Loop) else "stage"),
    ]
"""A stage of an arm, or a loop of some."""


def written_out(steps: Sequence[Any]) -> tuple[str, ...]:
    """The stages of an arm, each loop's as the stages of its rounds.

    ``{repeat: 3, stages: [rank, align]}`` stands for ``rank.1, align.1, rank.2, ... align.3``: each
    round is then a stage like any other, a node with a fingerprint, kept, resumed, shared by the
    arms that begin alike, and evaluated where an arm ends with it. A corpus that the current model
    writes (`sample_and_label`) is written anew in each round, by what the round before left. No
    loop ends by what comes out of it; an arm for each number of rounds shows where to stop.
    """
    return tuple(
        name
        for step in steps
        for name in (
            (f"{stage}.{turn}" for turn in range(1, step.repeat + 1) for stage in step.stages)
            if isinstance(step, Loop)
            else (step,)
        )
    )


def without_round(name: str) -> str:
    """The stage that a round is of: `align` of `align.2`."""
    return _ROUND.sub("", name)


def with_rounds(stages: Mapping[str, Any], arms: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The stages (`StageUse`) with the rounds that arms name, and no stage that only loops have.

    Raises:
        ConfigError: a round that a stage's `rounds` has no corpus for.
    """
    used = {name for names in arms.values() for name in names}
    used |= {use.reward_from for use in stages.values() if use.reward_from is not None}
    rounds = {name for name in used if name not in stages and without_round(name) in stages}
    looped = {without_round(name) for name in rounds}
    kept = {n: use for n, use in stages.items() if n not in looped or n in used}
    return kept | {name: _round(stages[without_round(name)], name, used) for name in sorted(
        rounds, key=lambda name: (list(stages).index(without_round(name)), _turn(name))
    )}  # fmt: skip


def _turn(name: str) -> int:
    found = _ROUND.search(name)
    return int(found[1]) if found else 0


def _round(use: Any, name: str, used: set[str]) -> Any:
    """A stage as one round has it: its own corpus, and references to the same round's stages."""
    turn, changes = _turn(name), dict[str, Any]()
    if use.rounds:
        if len(use.rounds) < turn:
            raise ConfigError(
                f"stages.{without_round(name)}.rounds: {len(use.rounds)} corpora, and an arm "
                f"repeats it {turn} times"
            )
        changes = {"data": use.rounds[turn - 1], "rounds": ()}
    train = dict(_references(use.train, turn, used))
    if train:
        changes["train"] = use.train.model_copy(update=train)
    return use.model_copy(update=changes)


def _references(train: Any, turn: int, used: set[str]) -> Iterator[tuple[str, Any]]:
    """Options of a stage that name a stage which is in the loop too."""
    named = getattr(train, "references", ())
    ours = [f"{reference.stage}.{turn}" for reference in named]
    if any(stage in used for stage in ours):
        yield (
            "references",
            tuple(
                reference.model_copy(update={"stage": stage}) if stage in used else reference
                for reference, stage in zip(named, ours, strict=True)
            ),
        )


class StageUse(StrictModel):
    """A stage of the study: its options, and the corpora it reads."""

    data: Name = affects_output(
        "", description="the corpus it trains on; left out where the kind reads no rows"
    )
    rounds: tuple[Name, ...] = added_later(
        (), description="in a loop: the corpus of each round, in place of `data`"
    )
    replay_data: Name | None = affects_output(
        None, description="corpus mixed in so that what is known is kept"
    )
    reward_from: Name | None = added_later(
        None,
        description="stage of kind reward, trained from the study's model once a seed, whose model "
        "is the reward; null: the arm's own, a stage of kind reward before this one",
    )
    train: StageConfig = affects_output(description="the stage's kind and options")


def tupled(given: Any) -> Any:
    """The same with tuples for lists, at any depth."""
    if isinstance(given, dict):
        return {key: tupled(part) for key, part in given.items()}
    return tuple(map(tupled, given)) if isinstance(given, list | tuple) else given


class Arm(StrictModel):
    """A named list of stages, and what is put round its model when it answers.

    A plain list is its stages.
    """

    stages: Annotated[tuple[Step, ...], AfterValidator(written_out)] = affects_output(
        (), description="names of its stages, in order, or {repeat: 3, stages: [...]}"
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
        return tupled(given)

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
