"""What commands print: tables and text on standard output, messages and errors on standard error.

Every string passes `safe_text` and is printed as text, never as rich markup. With ``--json``
standard output holds one JSON object and nothing else. Leaves out: progress (`progress`).
"""

import contextlib
import dataclasses
import functools
import inspect
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, ParamSpec

import typer
from rich.console import Console
from rich.text import Text

from whyfirst.cli.options import Plugins
from whyfirst.config.errors import UserError
from whyfirst.config.text import safe_text, table_of

_WIDE = 160  # columns where no terminal gives a width: a table in a log file is not cut

P = ParamSpec("P")
_answered = False  # whether this command has printed its JSON object


def standard(stderr: bool = False) -> Console:
    """Standard output (or error) as a rich console, made anew: a test or a caller may have put
    another stream in its place."""
    stream = sys.stderr if stderr else sys.stdout
    known = stream.isatty() or "COLUMNS" in os.environ
    return Console(stderr=stderr, highlight=False, width=None if known else _WIDE)


def messages() -> Console:
    """Standard error as a rich console."""
    return standard(stderr=True)


def say(text: str, style: str = "") -> None:
    """Print lines of plain text, unwrapped so that paths and `file:line` stay whole."""
    # A Text and no string: rich would read [brackets] in a path as markup.
    standard().print(Text(safe_text(text), style=style), soft_wrap=True)


def warn(text: str) -> None:
    """Print a remark on standard error."""
    messages().print(Text(safe_text(text), style="yellow"), soft_wrap=True)


def table(titles: Sequence[str], rows: Iterable[Sequence[object]], align: str = "l") -> None:
    """Print rows under titles; as `table_of`."""
    standard().print(table_of(titles, rows, align))


def scaled(value: float, ending: str = "") -> str:
    """A large number for reading: 1234567 as "1.2M", of bytes (`ending` B) as "1.2 MB"."""
    between = " " if ending else ""
    for size, letter in ((1e12, "T"), (1e9, "G" if ending else "B"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:,.1f}{between}{letter}{ending}"
    return f"{value:.0f}{between}{ending}"


def print_json(value: dict[str, Any]) -> None:
    """Print one JSON object on one line, in ASCII: safe in any terminal and pipe."""
    global _answered
    _answered = True
    # allow_nan: NaN is no JSON, and a reader in another language would refuse the whole.
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
    object) and exit 2, Ctrl-C exit 130; and it takes ``--plugin``.

    A parameter that is a dataclass stands for its fields, an option each, so that commands that
    take the same options state them once.
    """
    known = inspect.signature(function)
    bundles: dict[str, Any] = {name: p.annotation for name, p in known.parameters.items()
               if dataclasses.is_dataclass(p.annotation)}  # fmt: skip

    @functools.wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        global _answered
        # Anew for each command: several run in one process where a test or a notebook calls them.
        _answered, as_json = False, bool(kwargs.get("as_json"))
        given: Any = kwargs.pop("plugin", None)
        # Taken out of the options and handed over as one value.
        for name, bundle in bundles.items():
            taken = {field.name: kwargs.pop(field.name) for field in dataclasses.fields(bundle)}
            kwargs[name] = bundle(**taken)
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
    shown = []
    for parameter in known.parameters.values():
        shown += [parameter] if parameter.name not in bundles else [
            parameter.replace(
                name=field.name, annotation=field.type,
                default=parameter.empty if field.default is dataclasses.MISSING else field.default,
            )
            for field in dataclasses.fields(bundles[parameter.name])
        ]  # fmt: skip
    shown.append(
        inspect.Parameter("plugin", inspect.Parameter.KEYWORD_ONLY, default=None,
                          annotation=Plugins)
    )  # fmt: skip
    # By name only: an argument without a default may follow options that have one.
    shown = [parameter.replace(kind=parameter.KEYWORD_ONLY) for parameter in shown]
    guarded.__signature__ = known.replace(parameters=shown)  # type: ignore[attr-defined]
    guarded.__annotations__ = {parameter.name: parameter.annotation for parameter in shown}
    return guarded
