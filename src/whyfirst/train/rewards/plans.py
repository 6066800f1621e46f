"""Plans as lists of steps, and how near one is to another: order, objects, parameters.

Leaves out: synonyms of actions, and what any step means.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from whyfirst.models.said import said
from whyfirst.train.rewards import text

Step = Mapping[str, Any]


def plan_of(completion: Any) -> list[Step]:
    """The JSON list of steps of a response; empty where there is none."""
    match = re.search(r"\[.*\]", said(text(completion)).text[:50_000], re.DOTALL)
    try:
        found = json.loads(match.group()) if match else []
    except (ValueError, RecursionError):
        return []
    return found if all(isinstance(s, dict) and "action" in s for s in found) else []


def order_score(one: Sequence[str], other: Sequence[str]) -> float:
    """F1 of the longest common subsequence of two lists of actions, 0 to 1."""
    lengths = [0] * (len(other) + 1)
    for a in one:
        row = [0]
        for j, b in enumerate(other):
            row.append(lengths[j] + 1 if a == b else max(row[j], lengths[j + 1]))
        lengths = row
    return 2 * lengths[-1] / (len(one) + len(other)) if one or other else 1.0


def subsequence(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether the shorter of two lists is the longer with some of it left out, or they are one."""
    short, long = sorted((one, other), key=len)
    rest = iter(long)
    return all(a in rest for a in short)


def _overlap(one: Any, other: Any) -> float:
    """Intersection over union; a lone value counts as a list of one."""
    a, b = (
        {str(x).lower() for x in (v if isinstance(v, list) else [] if v is None else [v])}
        for v in (one, other)
    )
    return len(a & b) / len(a | b) if a | b else 1.0


def _parameters(given: Any, wanted: Any) -> float:
    """Share of named parameters that are right; of lists of them, their overlap."""
    if not (isinstance(given, dict) and isinstance(wanted, dict)):
        return _overlap(given or None, wanted or None)
    keys = given.keys() | wanted.keys()
    absent = object()
    right = sum(str(given.get(k, absent)) == str(wanted.get(k, absent)) for k in keys)
    return right / len(keys) if keys else 1.0


def step_score(given: Step, wanted: Step, away: int, reach: int) -> float:
    """What a step is worth `away` places from its own: at most 1.5; 0 from `reach` on.

    (1 - (away / reach)^1.5) (IoU of objects + half the share of parameters that are right); the
    parameters count where half of the objects are right.
    """
    if away >= reach:
        return 0.0
    objects = _overlap(given.get("objects"), wanted.get("objects"))
    right = _parameters(given.get("parameters"), wanted.get("parameters"))
    near: float = 1 - (away / reach) ** 1.5
    return near * (objects + 0.5 * right * (objects >= 0.5))


def content_scores(given: Sequence[Step], wanted: Sequence[Step], reach: int) -> list[float]:
    """Scores of the wanted steps whose action is among the given ones, the nearest; each once."""
    left, scores = dict(enumerate(given)), []
    for at, step in enumerate(wanted):
        alike = [n for n, other in left.items() if other["action"] == step["action"]]
        if alike:
            nearest = min(alike, key=lambda n: abs(n - at))
            scores.append(step_score(left.pop(nearest), step, abs(nearest - at), reach))
    return scores
