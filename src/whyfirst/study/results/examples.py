"""Prompts with every arm's answer, for the report to show side by side.

Leaves out: the whole of the items (report/items.py).
"""

from collections.abc import Callable, Iterator, Mapping
from math import gcd
from pathlib import Path
from typing import Any

from whyfirst.config.files import read_jsonl
from whyfirst.evaluate.benchmark import benchmark_named
from whyfirst.report import schema
from whyfirst.study.config import Study

EXAMPLES = 24
# Arm -> (seed, items.jsonl) of its evaluations.
Items = Callable[[str], Iterator[tuple[int, Path]]]


def examples(study: Study, items: Items) -> list[schema.Example]:
    """Prompts of seed 0 with every arm's answer, spread over metrics, splits and framings."""
    named = [benchmark_named(name) for name in study.benchmarks]
    wants = {m.name: m.wants for b in named for m in b.metrics if m.wants}
    if not wants:
        return []
    answers: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
    for arm in study.arms:
        for _, path in (item for item in items(arm) if item[0] == 0):
            for row in read_jsonl(path):
                if row.get("prompt") and row["benchmark"] in wants:
                    answers.setdefault((row["benchmark"], row["id"]), {})[arm] = row
    kinds: dict[tuple[str, ...], list[dict[str, Mapping[str, Any]]]] = {}
    for (metric, item), by_arm in sorted(answers.items()):
        one = answers[metric, item][min(by_arm)]
        key = (metric, str(one.get("split")), str(one.get("group")))
        kinds.setdefault(key, []).append(by_arm)
    chosen: list[dict[str, Mapping[str, Any]]] = []
    for turn in range(EXAMPLES):
        for alike in kinds.values():
            # A stride through them, so that framings vary, that meets each one once.
            stride = next(step for step in (7, 5, 3, 1) if gcd(step, len(alike)) == 1)
            if turn < len(alike) and len(chosen) < EXAMPLES:
                chosen.append(alike[(turn * stride) % len(alike)])
    found = []
    for by_arm in chosen:
        asked = by_arm[next(iter(by_arm))]
        same = ("prompt", "split", "framing", "group", "benchmark")
        responses = {
            arm: {"text": answer.get("response", ""), "verdict": answer["verdict"]}
            for arm, answer in by_arm.items()
        }
        found.append(schema.Example.model_validate(
            {name: asked.get(name) for name in same}
            | {"wants": wants[asked["benchmark"]], "offensive": bool(asked.get("offensive")),
               "responses": responses}
        ))  # fmt: skip
    return found
