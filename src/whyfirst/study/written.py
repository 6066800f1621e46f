"""What a study file says of corpora that a teacher writes for it, and what can be wrong with that.

Leaves out: their nodes and the writing (planning/).
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from whyfirst.config.strict import StrictModel, affects_output, runtime_only
from whyfirst.config.strict_yaml import Location
from whyfirst.config.suggest import did_you_mean
from whyfirst.explain.explanation import Corpus
from whyfirst.explain.filters import FilterOptions
from whyfirst.explain.template import TEACHER as TEMPLATE
from whyfirst.explain.write import MIN_YIELD
from whyfirst.models.reference import ModelRef

if TYPE_CHECKING:
    from whyfirst.study.config import Study


class WrittenCorpus(StrictModel):
    """One of the corpora that a teacher wrote together: see `Written`."""

    source: Literal["written"] = affects_output()
    written: str = affects_output(description="its name under `written`")
    documents: Corpus = affects_output()
    tokens: int | None = affects_output(
        default=None, ge=1, description="matched to 0.5 %; null: all there are"
    )


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
    values: tuple[str, ...] | None = affects_output(default=None, description="null: all")
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
    filters: FilterOptions = affects_output(default=FilterOptions())
    seed: int = affects_output(default=0, ge=0, description="the corpus', not the study's")
    min_yield: float = runtime_only(
        default=MIN_YIELD, ge=0, le=1, description="kept a call; below it, the writing stops"
    )


WrittenSection = dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], Written]


def problems(study: "Study") -> Iterator[tuple[Location, str]]:
    """Corpora that read what nobody writes, plans named twice, and a tokenizer's cycle."""
    for name, corpus in study.corpora.items():
        if corpus.source == "written" and corpus.written not in study.written:
            hint = did_you_mean(corpus.written, study.written)
            yield (
                ("corpora", name, "written"),
                f"{corpus.written!r} is not defined under `written`{hint}",
            )
    for name, use in study.written.items():
        if use.plan is not None and use.values is not None:
            yield ("written", name, "values"), "has no effect beside `plan`, which has its own"
    model = study.model
    if model.source == "scratch":
        source = study.corpora.get(model.tokenizer_corpus)
        if source is not None and source.source == "written":
            yield (
                ("model", "tokenizer_corpus"),
                f"a cycle: {model.tokenizer_corpus!r} is written to a number of tokens, counted "
                "with the tokenizer; name a corpus without a token budget",
            )
