"""CodeRL+'s execution semantics: saying what a program will do without running it.

Jiang et al. 2025, "CodeRL+: Improving Code Generation via Reinforcement with Execution Semantics
Alignment", arXiv 2510.18471. Leaves out: asking about programs of this stage's own responses (their
prompts come from a file), and variables inside functions.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from whyfirst.models.said import said
from whyfirst.train.rewards import REWARDS, read_by, text
from whyfirst.train.rewards.programs import Ran, run_all


def same_value(told: Any, true: Any) -> bool:
    """Whether a value foretold in JSON is the one computed: 1 is 1.0, True is "true"."""
    if isinstance(told, list) and isinstance(true, list):
        return len(told) == len(true) and all(map(same_value, told, true))
    if isinstance(told, dict) and isinstance(true, dict):
        return told.keys() == true.keys() and all(same_value(told[k], true[k]) for k in true)
    if not isinstance(told, bool | str) and not isinstance(true, bool | str):
        return bool(told == true)
    return str(told).strip().lower() == str(true).strip().lower()


def semantics_value(completion: Any, ran: Ran) -> float:
    """.1 for a JSON object in the last line and .9 times the share of it that is right.

    Its items are the program's variables and what it prints (`output`).
    """
    lines = said(text(completion)).text.strip().splitlines()
    try:
        told = json.loads(lines[-1]) if lines else None
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, Mapping):
        return 0.0
    items = {**ran.variables, "output": ran.output.strip()}
    right = sum(name in told and same_value(told[name], true) for name, true in items.items())
    return 0.1 + 0.9 * right / len(items)


@REWARDS.enter(
    "execution_semantics",
    version=read_by(),
    paper="Jiang et al. 2025, arXiv 2510.18471",
    needs="the column program; Linux",
    tested="3 of 4 items right give .775, no JSON 0; equality by a table",
)
def execution_semantics(
    prompts: list[Any],
    completions: list[Any],
    completion_ids: list[list[int]],
    program: Sequence[str],
    **columns: Any,
) -> list[float | None]:
    """How much of a program's last state a response foretells; None where the program fails."""
    given = columns.get("given") or [""] * len(program)
    ran = run_all([(source, put or "") for source, put in zip(program, given, strict=True)])
    return [
        None if one.problem else semantics_value(completion, one)
        for completion, one in zip(completions, ran, strict=True)
    ]
