"""The command line. `app.py` declares the verbs; each verb's work is imported when it is used.

`whyfirst --help` must answer at once, so importing this package (and `app`) imports neither
pydantic nor anything heavier.
"""

import io
import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import NoReturn


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit.

    Exit codes: 0 done; 1 a defect of the program (with a traceback); 2 a mistake the user can mend
    (one message); 130 stopped by Ctrl-C.

    Args:
        arguments: without the program's name; None takes the process's own.
    """
    # Before anything imports the Hub's library, which reads it once.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    for stream in (sys.stdout, sys.stderr):
        # A terminal that can't show a character must not end the program.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.unraisablehook = _signal_again
    try:
        from whyfirst.cli.app import app
    except KeyboardInterrupt:  # the verbs tell it themselves; they aren't there yet
        sys.exit(130)

    given = list(sys.argv[1:] if arguments is None else arguments)
    # Typer's own way of telling a mistake is a coloured box: right for people only.
    if "--json" not in given:
        app(args=given, prog_name="whyfirst")
        sys.exit(0)
    # Without the standalone mode a wrong option comes here, to be told as JSON too.
    from typer.main import get_command

    from whyfirst.cli.output import print_error

    try:
        # Its own exit codes come back as a number and not as SystemExit.
        code = get_command(app).main(given, prog_name="whyfirst", standalone_mode=False)
    except Exception as error:
        # Duck-typed: importing click's classes would cost a plain command its quick start.
        if not hasattr(error, "format_message"):
            raise
        print_error(error.format_message(), as_json=True)
        code = 2
    sys.exit(code or 0)


def _signal_again(unraisable: "sys.UnraisableHookArgs") -> None:
    """Repeat a Ctrl-C or SIGTERM that a finaliser or a compiled library passed over.

    What can't raise (`__del__`, a hook at a fork, a callback from Rust) drops the exception of a
    signal that came as it ran, and the command would go on as if nobody had asked it to stop.
    """
    error = unraisable.exc_value
    number: int | None = None
    if isinstance(error, KeyboardInterrupt):
        number = signal.SIGINT
    elif isinstance(error, SystemExit) and isinstance(error.code, int) and error.code > 128:
        number = error.code - 128
    if number is None:
        sys.__unraisablehook__(unraisable)
    else:
        # A moment later, from a thread: at once, it would be raised in here and dropped as well.
        threading.Timer(0.01, os.kill, (os.getpid(), number)).start()
