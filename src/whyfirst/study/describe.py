"""What a study will take and can find, before it is run: ``whyfirst study plan``.

Leaves out: prices and GPU hours of real models, which need a price table.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from whyfirst.evaluate.power import half_width, mde
from whyfirst.study.config import ContrastConfig, Study
from whyfirst.study.plan import Plan
from whyfirst.study.store import Store


@dataclass(frozen=True)
class StageRow:
    """One kind of work: how many nodes after sharing, how many are done already."""

    kind: str
    name: str
    nodes: int
    complete: int
    updates: int | None
    seconds: float


@dataclass(frozen=True)
class PowerRow:
    """What one contrast can find with the planned seeds and items (fractions)."""

    contrast: str
    arms: tuple[str, ...]
    n_seeds: int
    n_topics: int | None
    n_items: int | None
    mde: float | None
    half_width: float | None


@dataclass(frozen=True)
class PlanDescription:
    """The tables of ``study plan``. ``seconds`` are rough, on one core."""

    study: str
    seeds: dict[str, int]
    stages: tuple[StageRow, ...]
    power: tuple[PowerRow, ...]
    assumptions: str | None


def describe_plan(plan: Plan, store: Store) -> PlanDescription:
    """Count the plan's nodes by what they do, and compute its minimum detectable effects."""
    study = plan.study
    counts: Counter[tuple[str, str]] = Counter()
    done: Counter[tuple[str, str]] = Counter()
    seconds: Counter[tuple[str, str]] = Counter()
    for node in plan.nodes:
        key = (node.kind, _label(node.kind, node.id, node.payload))
        counts[key] += 1
        seconds[key] += node.weight  # type: ignore[assignment]
        done[key] += store.complete(*node.key)
    rows = tuple(
        StageRow(kind, name, counts[kind, name], done[kind, name], _updates(study, kind, name),
                 round(float(seconds[kind, name]), 1))
        for kind, name in counts
    )  # fmt: skip
    return PlanDescription(
        study=study.study,
        seeds={arm: len(study.seeds_of(arm)) for arm in study.arms},
        stages=rows,
        power=tuple(_power(study, contrast) for contrast in study.contrasts),
        assumptions=study.power.source if study.power else None,
    )


def _label(kind: str, id: str, payload: dict[str, Any]) -> str:  # noqa: A002
    if kind == "stage":
        return id.split("/", 1)[1].split(">")[-1]
    return str(payload["config"].get("corpus") or payload["config"].get("benchmark") or kind)


def _updates(study: Study, kind: str, name: str) -> int | None:
    return study.stages[name].train.updates if kind == "stage" else None


def _power(study: Study, contrast: ContrastConfig) -> PowerRow:
    seeds = min(len(study.seeds_of(arm)) for arm in contrast.arms)
    size = _cell_size(study, contrast)
    spread = study.power
    if size is None or spread is None:
        topics, items = size or (None, None)
        return PowerRow(contrast.name, contrast.arms, seeds, topics, items, None, None)
    design = (spread.seed_sd, spread.topic_sd, spread.residual_sd, seeds, *size)
    return PowerRow(contrast.name, contrast.arms, seeds, *size, mde(*design), half_width(*design))


def _cell_size(study: Study, contrast: ContrastConfig) -> tuple[int, int] | None:
    """Topics and items of a contrast's cell, where the world tells before anything is run."""
    if study.world is None:
        return None
    from whyfirst.evaluate.benchmark import limited
    from whyfirst.hearth.benchmark import requests, score
    from whyfirst.hearth.world import World
    from whyfirst.study.table import Table

    table = Table()
    asked = list(requests(World(study.world.seed), "somebody"))
    limit = study.benchmarks["hearth"].limit if "hearth" in study.benchmarks else None
    for request in limited(asked, limit, lambda request: request.id):
        for record in score(request, "somebody", ""):
            if record.benchmark == contrast.metric:
                table.add(0, record.to_json())
    scores = table.scores(contrast.cell, study.cells)
    if scores is None:
        return None
    return len(set(scores.topics.tolist())), len(scores.items)
