"""Sketch-and-Fill: think, sketch the steps, then write them out.

Thoth (Sun et al. 2025, arXiv 2510.15600), for any procedure. The sketch is a list of {action,
objects, parameters} (the column `plan` of the reward `structured_plan`); what is written out is
kept where it has the sketch's steps, as many and in that order, each with its action and its
objects. Leaves out: laboratory content of any kind.
"""

import re
from typing import Any

from whyfirst.explain.generators import GENERATORS, LeftOut, Row, Script, Unusable, read, told
from whyfirst.models.base import Sampling

SKETCH = "Task: {query}\nThink about what has to be done and in which order (thought). Then sketch "
SKETCH += "it (steps): a list of objects with an action (one verb), objects (a list of nouns) and "
SKETCH += "parameters (an object of amounts, times, settings)."
FILL = "Task: {query}\nSketch:\n{sketch}\n\nWrite the procedure out, one numbered line a step of "
FILL += "the sketch, with its action, all of its objects and all of its parameters."
_LINE = re.compile(r"^[^\S\n]*\d+[.)]\s+(.+)$", re.MULTILINE)


@GENERATORS.enter(
    "sketch_and_fill",
    paper="Sun et al. 2025, arXiv 2510.15600",
    needs="query",
    tested="swapped, missing and added steps are left out, each with its reason",
    columns=("query",),
    gives=("prompt", "completion"),
    calls=lambda options: 2,
)
def sketch_and_fill(
    row: Row, sampling: Sampling, *, left_out: LeftOut, thought: bool = True
) -> Script:
    """A procedure after its sketch; `thought` keeps what was thought before it."""
    query = str(row["query"])
    made = yield from read(SKETCH.format(query=query), ("thought", "steps"), sampling)
    steps = made["steps"]
    named = isinstance(steps, list) and [isinstance(s, dict) and s.get("action") for s in steps]
    if not named or not all(named):
        raise Unusable("the sketch is no list of steps with an action")
    shown = "\n".join(f"{number}. {_shown(step)}" for number, step in enumerate(steps, 1))
    filled = yield from told(FILL.format(query=query, sketch=shown), sampling)
    if (problem := unlike(steps, filled)) is not None:
        left_out(row, problem)
        return []
    answer = f"<think>{made['thought']}\n{shown}</think>\n{filled}" if thought else filled
    return [{"prompt": query, "completion": answer, "plan": steps}]


def unlike(steps: list[dict[str, Any]], filled: str) -> str | None:
    """In what a written procedure is not its sketch; None where it is."""
    lines = [line.lower() for line in _LINE.findall(filled)]
    if len(lines) != len(steps):
        return "not as many steps as in the sketch"
    for step, line in zip(steps, lines, strict=True):
        if str(step["action"]).lower() not in line:
            return "a step without the sketch's action at its place"
        if not all(str(one).lower() in line for one in step.get("objects") or ()):
            return "a step without an object of the sketch"
    return None


def _shown(step: dict[str, Any]) -> str:
    objects = ", ".join(map(str, step.get("objects") or ()))
    given = step.get("parameters")
    parameters = ", ".join(f"{k} {v}" for k, v in given.items()) if isinstance(given, dict) else ""
    return f"{step['action']}: {objects}" + (f" ({parameters})" if parameters else "")
