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


def _overlap(one: Any, other: Any) -> float:
    a, b = ({str(x).lower() for x in v} if isinstance(v, list) else set() for v in (one, other))
    return len(a & b) / len(a | b) if a | b else 1.0


def step_score(given: Step, wanted: Step, away: int, reach: int) -> float:
    """What a step is worth `away` places from its own: at most 1.5; 0 from `reach` on.

    (1 - (away / reach)^1.5) (IoU of objects + half the share of parameters that are right); the
    parameters count where half of the objects are right.
    """
    if away >= reach:
        return 0.0
    objects = _overlap(given.get("objects"), wanted.get("objects"))
    a, b = ({str(k): str(x) for k, x in v.items()} if isinstance(v, dict) else {}
            for v in (given.get("parameters"), wanted.get("parameters")))  # fmt: skip
    keys = a.keys() | b.keys()
    right = sum(a.get(k) == b.get(k) for k in keys) / len(keys) if keys else 1.0
    near: float = 1 - (away / reach) ** 1.5
    return near * (objects + 0.5 * right * (objects >= 0.5))


def content_scores(given: Sequence[Step], wanted: Sequence[Step], reach: int) -> list[float]:
    """Of each wanted step, the score of the nearest given one with its action; each counts once."""
    left, scores = dict(enumerate(given)), []
    for at, step in enumerate(wanted):
        alike = [n for n, other in left.items() if other["action"] == step["action"]]
        nearest = min(alike, key=lambda n: abs(n - at), default=None)
        match = None if nearest is None else left.pop(nearest)
        scores.append(0.0 if match is None else step_score(match, step, abs(nearest - at), reach))  # type: ignore[operator]
    return scores
