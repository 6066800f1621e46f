"""CodeRL+'s other half: programs that pass their tests.

Jiang et al. 2025, "CodeRL+: Improving Code Generation via Reinforcement with Execution Semantics
Alignment", arXiv 2510.18471. Leaves out: partial credit.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from whyfirst.models.said import said
from whyfirst.train.rewards import REWARDS, read_by, text
from whyfirst.train.rewards.programs import run_all

_BLOCK = re.compile(r"```(?:python|py)?\s*\n(.*?)```", re.DOTALL)


def program_of(completion: Any) -> str:
    """The last code block of a response, or all of it."""
    reply = said(text(completion)).text
    found = _BLOCK.findall(reply)
    return str(found[-1]) if found else reply


@REWARDS.enter(
    "code_tests",
    version=read_by(),
    paper="Jiang et al. 2025, arXiv 2510.18471",
    needs="the column tests (a list of {given, output}); Linux",
    tested="programs of known output; hostile programs",
)
def code_tests(
    prompts: list[Any],
    completions: list[Any],
    completion_ids: list[list[int]],
    tests: Sequence[Sequence[Mapping[str, str]]],
    **columns: Any,
) -> list[float | None]:
    """1 where a response's program prints what every test expects, else 0; None without tests.

    What it should print is known outside its process only.
    """
    jobs = [(at, test) for at, listed in enumerate(tests) for test in listed]
    sources = [program_of(completion) for completion in completions]
    ran = run_all([(sources[at], test.get("given", "")) for at, test in jobs])
    passed: list[list[bool]] = [[] for _ in completions]
    for (at, test), one in zip(jobs, ran, strict=True):
        passed[at].append(one.problem is None and one.output.split() == test["output"].split())
    return [float(all(row)) if row else None for row in passed]
