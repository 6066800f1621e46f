"""Chat templates rendered where they can do no harm: in a process of their own, with limits.

A template comes with a model and is a program: it may loop for hours or write gigabytes, and no
list of forbidden expressions covers what Jinja can say. So a template that doesn't ship with this
package is rendered by jinja2's sandbox in a child process whose memory and processor time the
kernel limits; one child serves a process for as long as it lives. `DATE` stands for today, or the
same study would teach and ask another prompt tomorrow. Leaves out: which template applies, and
what goes into it (`chat`).

The child runs this very file, so it imports nothing of the package.
"""

import atexit
import functools
import json
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from datetime import datetime
from typing import Any

DATE = datetime(2026, 1, 1)
"""What templates get for now (`strftime_now`); another date is another prompt, so it never moves
without a word in the changelog."""
SECONDS = 2
"""Of processor time for one rendering; templates in use take a thousandth of that."""
LONGEST = 2**26
"""Characters of a rendered text at most."""
_MEMORY = 2**30  # bytes of address space; the interpreter with jinja2 takes a tenth


class TemplateError(Exception):
    """A template that can't be used, or refuses what it was given; the text says why.

    Args:
        line: of the mistake, where the text isn't Jinja.
        limit: it ran into a limit, whatever it was given.
    """

    def __init__(self, message: str, line: int | None = None, limit: bool = False) -> None:
        super().__init__(message)
        self.line, self.limit = line, limit


def reads_clock(template: str) -> bool:
    """Whether the date is part of what the template writes."""
    return "strftime_now" in template


def render(template: str, variables: Mapping[str, Any], trusted: bool = False) -> str:
    """A Jinja text with its variables (JSON values) filled in.

    Args:
        trusted: it ships with the package and is rendered here.

    Raises:
        TemplateError: not Jinja, refused by the template itself, or beyond a limit.
    """
    if trusted:
        return _render(template, variables)
    answer = _child(os.getpid()).ask({"template": template, "variables": variables})
    if "error" in answer:
        raise TemplateError(answer["error"], answer["line"], answer["limit"])
    return str(answer["text"])


class _Child:
    """The process that renders; started again after a template that was its end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        # A child would outlive its parent, waiting for a line.
        atexit.register(self._end)

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        with self._lock:
            # Started by the first template that needs it: most models come with a shipped one.
            if self._process is None:
                # -P: nothing is imported from the working folder, whose files are the user's.
                self._process = subprocess.Popen(
                    [sys.executable, "-P", __file__],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                )  # fmt: skip
            process = self._process
            assert process.stdin is not None and process.stdout is not None
            try:
                process.stdin.write(json.dumps(request).encode() + b"\n")
                process.stdin.flush()
                line = process.stdout.readline()
            except BrokenPipeError:
                line = b""
            except BaseException:  # interrupted: an answer still to come would be the next one's
                self._end()
                raise
            if line.endswith(b"\n"):
                return dict(json.loads(line))
            # No line: the process has ended, or is about to.
            code = process.wait()
            self._end()
        # The timer's signal says it was time; any other end was memory, or the template's own
        # doing.
        slow = code == -signal.SIGPROF
        reason = f"takes more than {SECONDS} s" if slow else f"ends its process (exit code {code})"
        return {"error": f"{reason} to render a chat" if slow else reason, "line": None,
                "limit": True}  # fmt: skip

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()


@functools.cache
def _child(process: int) -> _Child:
    """This process's child; a fork must not share the pipes of its parent's."""
    return _Child()


@functools.cache
def _environment() -> Any:
    """Jinja as transformers sets it up for chat templates (`chat_template_utils`)."""
    from jinja2 import TemplateError as Refused
    from jinja2 import ext, nodes
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(ext.Extension):
        """``{% generation %}`` marks a reply for those who want masks from it: here a scope."""

        tags = {"generation"}  # noqa: RUF012 -- as the base class declares it

        def parse(self, parser: Any) -> nodes.Node:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.Scope(body, lineno=line)

    def refuse(message: str) -> None:
        raise Refused(message)

    def tojson(value: Any, ensure_ascii: bool = False, **options: Any) -> str:
        return json.dumps(value, ensure_ascii=ensure_ascii, **options)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, ext.loopcontrols]
    )
    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = refuse
    environment.globals["strftime_now"] = DATE.strftime
    return environment


@functools.lru_cache(maxsize=64)
def _compiled(template: str) -> Any:
    # Jinja itself keeps only templates that come from a loader, and compiling costs milliseconds.
    return _environment().from_string(template)


def _render(template: str, variables: Mapping[str, Any]) -> str:
    from jinja2 import TemplateSyntaxError

    try:
        text = str(_compiled(template).render(**variables))
    except TemplateSyntaxError as error:
        raise TemplateError(str(error.message), line=error.lineno) from error
    except MemoryError as error:
        raise TemplateError("takes more memory than a template may have", limit=True) from error
    except Exception as error:  # Jinja's own kinds, and whatever an expression raises
        lines = [*str(error).strip().splitlines(), type(error).__name__]
        raise TemplateError(lines[0]) from error
    if len(text) > LONGEST:
        raise TemplateError(f"writes more than {LONGEST} characters", limit=True)
    return text


def _serve() -> None:
    """Answer requests, a line each, until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    _environment()  # what a template may need is imported before the limit
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin.buffer:
        request = json.loads(line)
        # Its default action ends the process, in the middle of a multiplication too.
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            answer: dict[str, Any] = {"text": _render(request["template"], request["variables"])}
        except TemplateError as error:
            answer = {"error": str(error)[:500], "line": error.line, "limit": error.limit}
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    _serve()
