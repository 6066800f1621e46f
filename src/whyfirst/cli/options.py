"""Options that several commands take, once each, and what groups of commands share.

Imports nothing of the package, so that help is quick. Leaves out: options of a single command.
"""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, Option

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
           "can be."),
]  # fmt: skip
ModelSeed = Annotated[int, Option("--seed", min=0, help="Which of an arm's models.")]
Constitution = Annotated[
    str, Argument(metavar="CONSTITUTION", help="A file or a shipped name.")
]  # fmt: skip


def group(text: str, **more: Any) -> typer.Typer:
    """A group of commands: `whyfirst GROUP COMMAND`, with this help."""
    settings = {"help_option_names": ["-h", "--help"]}
    return typer.Typer(help=text, no_args_is_help=True, context_settings=settings, **more)


def names(given: str | None) -> tuple[str, ...]:
    """Words with commas, as an option takes them: stripped, each once, none empty."""
    # A trailing comma or a blank after one is no name.
    words = (word.strip() for word in (given or "").split(","))
    return tuple(dict.fromkeys(word for word in words if word))
