"""What commands print: tables and text on standard output, messages and errors on standard error.

Every string passes `safe_text` and is printed as text, never as rich markup. With ``--json``
standard output holds one JSON object and nothing else. Leaves out: progress (`progress`).
"""

import contextlib
import functools
import inspect
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, ParamSpec

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from whyfirst.config.errors import UserError
from whyfirst.config.text import safe_text

_WIDE = 160  # columns where no terminal gives a width: a table in a log file is not cut

P = ParamSpec("P")
Justify = Literal["left", "right"]
_answered = False  # whether this command has printed its JSON object

# Options that several commands take, once each.
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
KeyEnv = Annotated[
    str | None, typer.Option("--key-env", help="NAME of the variable with the endpoint's key.")
]
Plugins = Annotated[
    list[Path] | None, typer.Option("--plugin", help="A Python file of one's own; repeatable.")
]
RunFolder = Annotated[
    Path, typer.Argument(metavar="RUN", help="A run's folder, or its name in ./runs.")
]
RunStore = Annotated[
    Path | None,
    typer.Option("--store", help="Where its models are (default: as the run noted)."),
]


def standard() -> Console:
    """Standard output as a rich console."""
    return _console(stderr=False)


def messages() -> Console:
    """Standard error as a rich console."""
    return _console(stderr=True)


def _console(stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    known = stream.isatty() or "COLUMNS" in os.environ
    return Console(stderr=stderr, highlight=False, width=None if known else _WIDE)


def say(text: str, style: str = "") -> None:
    """Print lines of plain text, unwrapped so that paths and `file:line` stay whole."""
    standard().print(Text(safe_text(text), style=style), soft_wrap=True)


def warn(text: str) -> None:
    """Print a remark on standard error."""
    messages().print(Text(safe_text(text), style="yellow"), soft_wrap=True)


def table(columns: Sequence[tuple[str, Justify]], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under (title, justification) columns; None is an empty cell."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for title, justify in columns:
        shown.add_column(Text(title), justify=justify)
    for row in rows:
        shown.add_row(*(Text("" if cell is None else safe_text(str(cell))) for cell in row))
    standard().print(shown)


def print_json(value: dict[str, Any]) -> None:
    """Print one JSON object on one line, in ASCII: safe in any terminal and pipe."""
    global _answered
    _answered = True
    print(json.dumps(value, allow_nan=False, ensure_ascii=True), file=sys.stdout, flush=True)


def print_error(message: str, as_json: bool) -> None:
    """Tell a mistake on standard error, and where asked as the one object on standard output."""
    line = Text("error: ", style="bold red").append(safe_text(message), style="default")
    messages().print(line, soft_wrap=True)
    if as_json:
        print_json({"error": message})


@contextlib.contextmanager
def nothing_printed(wanted: bool) -> Iterator[None]:
    """Where `wanted`, what libraries print meanwhile goes to standard error."""
    with contextlib.redirect_stdout(sys.stderr) if wanted else contextlib.nullcontext():
        yield


def command(function: Callable[P, None]) -> Callable[P, None]:
    """Decorator of every command: a user's mistake is one message (and, with ``--json``, one
    object) and exit 2, Ctrl-C exit 130; and it takes ``--plugin``."""

    @functools.wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        global _answered
        _answered, as_json = False, bool(kwargs.get("as_json"))
        given: Any = kwargs.pop("plugin", None)
        try:
            if given:
                from whyfirst.config import plugins

                plugins.use(given)
            function(*args, **kwargs)
        except UserError as error:
            # Not where the command has printed what it found before it refused it.
            print_error(str(error), as_json and not _answered)
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            messages().print("\nstopped; the same command continues")
            if as_json and not _answered:
                print_json({"error": "stopped; the same command continues"})
            raise typer.Exit(130) from None
        except BrokenPipeError:
            # The reader (`| head`) has enough. Python would complain again when it closes stdout.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(141) from None

    # Typer reads options off the signature: the one that every command shares is added to it here.
    known = inspect.signature(function)
    plugin = inspect.Parameter("plugin", inspect.Parameter.KEYWORD_ONLY, default=None,
                               annotation=Plugins)  # fmt: skip
    parameters = [*known.parameters.values(), plugin]
    guarded.__signature__ = known.replace(parameters=parameters)  # type: ignore[attr-defined]
    guarded.__annotations__ = {**function.__annotations__, "plugin": Plugins}
    return guarded
