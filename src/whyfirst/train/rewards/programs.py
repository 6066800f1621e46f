"""Programs that a model wrote, run where they can do no harm: a process of their own, with limits.

A program is hostile until shown otherwise. Its process (`shut_in`) can compute and nothing else:
the kernel lets it open no file, no socket and no process, and limits processor time, memory and
output; a clock here ends what sleeps. It runs in an empty folder with an empty environment. Where
the kernel can't do that, nothing is run. Leaves out: other systems than Linux on x86-64 and arm64.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from whyfirst.config.errors import UserError
from whyfirst.train.rewards import shut_in


@dataclass(frozen=True)
class Ran:
    """What a program did: what it printed, its variables at the end, and why it failed, if so."""

    output: str
    variables: dict[str, Any]
    problem: str | None


def run(program: str, given: str = "") -> Ran:
    """Run a Python program with a text as its standard input.

    Raises:
        UserError: the system can't shut it in.
    """
    request = json.dumps({"program": program, "given": given}).encode("utf-8", "replace")
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as answer:
        try:
            done = subprocess.run(
                [sys.executable, "-I", "-B", shut_in.__file__], input=request, stdout=answer,
                stderr=subprocess.DEVNULL, cwd=folder, env={},
                timeout=5 * shut_in.SECONDS, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return Ran("", {}, "takes too long")
        if done.returncode == shut_in.UNSAFE:
            raise UserError(
                "programs of a model run only where the kernel can shut them in (seccomp, on Linux "
                "with x86-64 or arm64); use another reward here"
            )
        answer.seek(0)
        written = answer.read(shut_in.OUTPUT + 1)
    try:
        read = json.loads(written)
        return Ran(str(read["output"]), dict(read["variables"]), read["problem"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return Ran("", {}, f"its process ended with code {done.returncode}")


def run_all(programs: Sequence[tuple[str, str]]) -> list[Ran]:
    """Run each (program, standard input) once, as many at a time as there are processors.

    Raises:
        UserError: as `run`.
    """
    different = list(dict.fromkeys(programs))
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        ran = dict(zip(different, pool.map(lambda pair: run(*pair), different), strict=True))
    return [ran[one] for one in programs]
