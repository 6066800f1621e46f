"""Meta-awareness: foretelling of a task what its own attempts will be like.

Kim et al. 2025, "Meta-Awareness Enhances Reasoning Models: Self-Alignment Reinforcement Learning"
(later "Verifying Meta-Awareness via Predictive Rewards in Reasoning Models"), arXiv 2510.03259. A
row with the column `meta` asks to foretell another prompt's attempts, those whose column `task` is
the same: they stand in the same batch, or in the row itself (`rollouts`: a list of {text,
correct}). Leaves out: statistics of earlier batches (a stage that was killed would go on without
them), expert training on foretold traces, and stopping responses that get too long.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from whyfirst.models.said import said
from whyfirst.train.rewards import REWARDS, read_by, text
from whyfirst.train.rewards.answers import correct

Rollout = Mapping[str, Any]
"""An attempt: its `text`, and whether it is `correct`."""


def foretold(completion: Any) -> Mapping[str, Any]:
    """The last JSON object of a response: notions, length, pass_rate; empty where there is none."""
    for found in reversed(re.findall(r"\{[^{}]*\}", said(text(completion)).text[:20_000])):
        try:
            read = json.loads(found)
        except ValueError:
            continue
        if isinstance(read, dict):
            return read
    return {}


def meta_reward(told: Mapping[str, Any], problem: str, rollouts: Sequence[Rollout]) -> float:
    """Mean of three parts, each 0 to 1: the notions, the length and the pass rate foretold."""
    right = [one["text"].lower() for one in rollouts if one["correct"]]
    wrong = [one["text"].lower() for one in rollouts if not one["correct"]]
    notions = told.get("notions")
    new = [str(n).lower() for n in notions] if isinstance(notions, list) else []
    new = [notion for notion in dict.fromkeys(new) if notion and notion not in problem.lower()]
    useful = [n for n in new if _share(n, right) > _share(n, wrong)]
    length, rate = told.get("length"), told.get("pass_rate")
    sizes = [len(said.split()) for said in right]
    fits = bool(sizes) and _number(length) and min(sizes) < length < max(sizes)  # type: ignore[operator]
    near = 0.01 ** abs(rate - len(right) / len(rollouts)) if _number(rate) else 0.0  # type: ignore[operator]
    return (len(useful) / len(new) if new else 0.0) / 3 + fits / 3 + near / 3


def _share(notion: str, texts: Sequence[str]) -> float:
    return sum(notion in said for said in texts) / len(texts) if texts else 0.0


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9


@REWARDS.enter(
    "masa",
    version=read_by(),
    paper="Kim et al. 2025, arXiv 2510.03259",
    needs="columns task, answer and meta; meta rows also problem",
    batched=True,  # it reads a row's siblings
    tested="pass rates off by 0, .5 and 1 give 1, .1 and .01; notions and length by a table",
)
def masa(
    prompts: list[Any],
    completions: list[Any],
    completion_ids: list[list[int]],
    task: Sequence[Any],
    **columns: Any,
) -> list[float | None]:
    """1 or 0 for an attempt; for a foretelling how well it fits, None where there is no attempt."""
    nothing: list[Any] = [None] * len(task)
    answer, meta = columns.get("answer", nothing), columns.get("meta", nothing)
    given, problems = columns.get("rollouts", nothing), columns.get("problem", nothing)
    attempts: dict[Any, list[Rollout]] = {}
    for name, completion, right, is_meta in zip(task, completions, answer, meta, strict=True):
        if not is_meta:
            one = {"text": text(completion), "correct": correct(completion, right)}
            attempts.setdefault(name, []).append(one)
    rewards: list[float | None] = []
    for at, name in enumerate(task):
        if not meta[at]:
            rewards.append(float(correct(completions[at], answer[at])))
            continue
        rollouts = attempts.get(name) or given[at]
        problem = problems[at] or ""
        told = foretold(completions[at])
        rewards.append(meta_reward(told, problem, rollouts) if rollouts else None)
    return rewards
