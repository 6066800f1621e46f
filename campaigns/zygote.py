"""`whyfirst study run` without its imports: a process that has imported everything, and forks.

A trial takes the time of its work alone, so that thousands can be run. What is forked is the real
command, and its worker is a real process at the end of real pipes; only its start is another.
Leaves out: what is done to it.
"""

import contextlib
import gc
import importlib
import os
import random
import select
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

from studies import WORLD

_KNOWN = (
    "torch", "transformers.models.llama.modeling_llama", "transformers.trainer", "peft",
    "whyfirst.study.run", "whyfirst.study.nodes", "whyfirst.cli.study", "whyfirst.report.html",
    "whyfirst.study.results.assemble", "whyfirst.study.execute.worker",
)  # fmt: skip


# A worker starts as a new program would, whatever the command made of these.
_AT_START = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}


def warm(folder: Path, assets: Path | None = None) -> None:
    """Import what trials import; what the last ones did is noted in `folder`."""
    if assets is not None:  # read when Hearth is imported
        os.environ["WHYFIRST_HEARTH_ASSETS"] = str(assets)
    listed = folder / "modules.txt"
    names = listed.read_text().split() if listed.exists() else []
    for name in (*_KNOWN, *names):
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    import torch
    from transformers.conversion_mapping import get_checkpoint_conversion_mapping

    from whyfirst.report.html import environment
    from whyfirst.study.execute import pool
    from whyfirst.worlds.hearth.world import world_of

    torch.set_num_threads(1)
    # What a process would compute first: 900 patterns, the report's templates, the world.
    get_checkpoint_conversion_mapping("llama")
    templates = environment()
    for name in templates.list_templates(filter_func=lambda name: name.endswith(".html.j2")):
        templates.get_template(name)
    world_of(WORLD)
    pool.subprocess = SimpleNamespace(Popen=Worker, PIPE=-1)  # type: ignore[assignment]
    # A fork's collections don't look through all that was imported.
    gc.freeze()


class Process:
    """A forked process: the part of `subprocess.Popen` that is used here."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit code where it has ended."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, when it has ended.

        Raises:
            subprocess.TimeoutExpired: it hasn't in time.
        """
        if self.poll() is None:
            watch = os.pidfd_open(self.pid)
            try:
                select.select([watch], [], [], timeout)
            finally:
                os.close(watch)
        if (code := self.poll()) is None:
            raise subprocess.TimeoutExpired("whyfirst", timeout or 0.0)
        return code

    def send_signal(self, number: int) -> None:
        """Unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)


class Worker(Process):
    """A worker as `pool` starts one, with its two pipes."""

    def __init__(self, arguments: list[str], *, stderr: IO[bytes], **given: Any) -> None:
        to_read, to_write = os.pipe()
        from_read, from_write = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        super().__init__(os.fork())
        if self.pid == 0:
            os.setsid()
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, _AT_START[number])
            for there, here in ((to_read, 0), (from_write, 1), (stderr.fileno(), 2)):
                os.dup2(there, here)
            for file in (to_read, to_write, from_read, from_write):
                os.close(file)
            _end(_serve)
        os.close(to_read)
        os.close(from_write)
        self.stdin = os.fdopen(to_write, "w", encoding="utf-8")
        self.stdout = os.fdopen(from_read, encoding="utf-8")


def _serve() -> None:
    from whyfirst.study.execute.worker import main

    main()


def _end(work: Callable[[], None]) -> None:
    """Run it, and end this process as Python would."""
    code = 0
    try:
        work()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        code = 1
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def start(
    arguments: list[str],
    folder: Path,
    said: Path,
    *,
    before: Callable[[], None] = lambda: None,
    modules: Path | None = None,
) -> Process:
    """Start `whyfirst ARGUMENTS` in a fork.

    Args:
        folder: the current folder.
        said: takes everything it prints.
        before: called in the fork before anything else.
        modules: takes the names of what it imported.
    """
    pid = os.fork()
    if pid == 0:
        os.setsid()
        file = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for there, here in ((file, 1), (file, 2), (os.open(os.devnull, os.O_RDONLY), 0)):
            os.dup2(there, here)
        os.chdir(folder)
        # One core, since threads are shared out by cores and sums of other threads round otherwise.
        os.sched_setaffinity(0, {random.SystemRandom().choice(sorted(os.sched_getaffinity(0)))})

        def work() -> None:
            from whyfirst.cli import main

            before()
            sys.argv = ["whyfirst", *arguments]
            try:
                main()
            finally:
                if modules is not None:
                    modules.write_text("\n".join(sorted(sys.modules)))

        _end(work)
    return Process(pid)


def run(arguments: list[str], folder: Path, said: Path, seconds: float = 120.0,
        **given: Any) -> int | None:  # fmt: skip
    """`start`, and its exit code; None where it didn't end in time."""
    process = start(arguments, folder, said, **given)
    with contextlib.suppress(subprocess.TimeoutExpired):
        return process.wait(seconds)
    process.kill()
    process.wait()
    return None
