"""Options that several commands take, once each, and what groups of commands share.

A dataclass holds options that go together: a command takes it as one parameter (`output.command`).
Imports nothing of the package before it is asked, so that help is quick. Leaves out: options of a
single command.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

if TYPE_CHECKING:
    from whyfirst.models.base import LanguageModel
    from whyfirst.models.decoding.budget import Budget, Counted
    from whyfirst.study.config import Overrides
    from whyfirst.study.execute.store import Store

Decoding = Annotated[
    list[str] | None,
    Option("--decoding", help="A method its answers are made by, as NAME or NAME,option=value; "
           "repeatable, the innermost first; see `whyfirst list decodings`.")
]  # fmt: skip
AsJson = Annotated[bool, Option("--json", help="Print one JSON object and nothing else.")]
KeyEnv = Annotated[
    str | None, Option("--key-env", help="NAME of the variable with the endpoint's key.")
]
Plugins = Annotated[
    list[Path] | None, Option("--plugin", help="A Python file of one's own; repeatable.")
]
RunFolder = Annotated[Path, Argument(metavar="RUN", help="A run's folder, or its name in ./runs.")]
RunStore = Annotated[
    Path | None, Option("--store", help="Where its models are (default: as the run noted).")
]
StudyName = Annotated[str, Argument(metavar="FILE", help="A study file or a shipped name.")]
StorePath = Annotated[
    Path | None,
    Option("--store", help="Where results are kept (default: $WHYFIRST_STORE or ./store)."),
]
OutPath = Annotated[Path | None, Option("--out", help="The run's folder (default: runs/STUDY).")]
Workers = Annotated[
    int | None, Option("--workers", min=1, help="Processes (default: one for each GPU or core).")
]
OtherModel = Annotated[
    str | None, Option("--model", help="A folder or Hub id in place of the study's model.")
]
Trial = Annotated[
    int | None,
    Option("--limit", min=1, help="A trial: at most so many items, rows, and as few updates as "
           "can be.")
]  # fmt: skip
Changes = Annotated[
    list[str] | None,
    Option("--set", metavar="KEY=VALUE", help="In place of what the study file says, e.g. "
           "seeds.default=5 or stages.align.train.updates=200; repeatable.")
]  # fmt: skip
Constitution = Annotated[str, Argument(metavar="CONSTITUTION", help="A file or a shipped name.")]


@dataclass(frozen=True)
class StudyOptions:
    """A study, where its results are kept, and what is tried in place of what it says."""

    file: StudyName
    store: StorePath = None
    model: OtherModel = None
    limit: Trial = None
    changes: Changes = None

    @property
    def path(self) -> Path:
        """The study's file, of a shipped one too."""
        from whyfirst.study.shipped import study_file

        return study_file(self.file)

    @property
    def overrides(self) -> "Overrides":
        """What is tried."""
        from whyfirst.study.config import Overrides

        return Overrides(self.model, self.limit, tuple(self.changes or ()))


def store_at(given: Path | None) -> "Store":
    """The store that was named, else the default one."""
    from whyfirst.study.execute.store import Store
    from whyfirst.study.run import default_store

    return Store(given or default_store())


def open_asked(name: str, **options: Any) -> "LanguageModel":
    """A model that is asked by name, its options that were given; an endpoint's replies are kept
    beside those of evaluations."""
    from whyfirst.models.reference import open_model, parse_model
    from whyfirst.study.execute.store import REPLIES
    from whyfirst.study.run import default_store

    # What wasn't given is left to the model's own defaults, and is no part of its identity.
    given = {key: value for key, value in options.items() if value is not None}
    return open_model(parse_model(name, **given), cache=default_store() / REPLIES)


def decoded(
    model: "LanguageModel", methods: list[str] | None, judge: "LanguageModel | None" = None
) -> "tuple[Counted, Budget]":
    """A model within the methods named on a command line, and what it spends by role.

    Raises:
        UserError: no such method, a wrong option, or a method that needs another kind of model.
    """
    from whyfirst.models.decoding.budget import Budget
    from whyfirst.study.nodes.within import within_decoding

    budget, uses = Budget(), decoding_uses(methods)
    payload = {"decoding": uses} if uses else {}
    return within_decoding(payload, model, judge, budget), budget


def decoding_uses(methods: list[str] | None) -> list[dict[str, Any]]:
    """The decoding methods named on a command line, as a node's payload has them.

    Raises:
        UserError: no such method, or a wrong option.
    """
    from whyfirst.evaluate.short import use_with_options
    from whyfirst.models.decoding import DECODINGS

    uses = [use_with_options(DECODINGS, text) for text in methods or ()]
    for use in uses:
        # Refused before anything is asked, and not by the first prompt.
        DECODINGS.make(use, **dict.fromkeys(DECODINGS.get(use.name).context))
    return [use.model_dump() for use in uses]


def spending(budget: "Budget") -> list[str]:
    """What answering took, a line a role, and how often methods fell back."""
    said = []
    for role, spent in budget.roles.items():
        known = spent.prompt_tokens is not None and spent.completion_tokens is not None
        tokens = f"{spent.prompt_tokens:,} tokens read, {spent.completion_tokens:,} written"
        said.append(f"{role}: {spent.calls:,} calls, {tokens if known else 'tokens not counted'}")
    return said + [f"{reason}: {count:,} times" for reason, count in budget.fallbacks.items()]


def group(text: str, **more: Any) -> typer.Typer:
    """A group of commands: `whyfirst GROUP COMMAND`, with this help."""
    settings = {"help_option_names": ["-h", "--help"]}
    return typer.Typer(help=text, no_args_is_help=True, context_settings=settings, **more)


def names(given: str | None) -> tuple[str, ...]:
    """Words with commas, as an option takes them: stripped, each once, none empty."""
    # A trailing comma or a blank after one is no name.
    words = (word.strip() for word in (given or "").split(","))
    return tuple(dict.fromkeys(word for word in words if word))
