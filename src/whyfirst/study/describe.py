"""What a study will take and can find, before it is run: ``whyfirst study plan``.

Leaves out: prices and GPU hours of real models, which need a price table.
"""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from whyfirst.errors import ConfigError
from whyfirst.evaluate.power import half_width, mde, seeds_needed
from whyfirst.study.config import ContrastConfig, Study
from whyfirst.study.plan import Plan
from whyfirst.study.sizes import cell_size, designed
from whyfirst.study.store import Store
from whyfirst.study.table import Table


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
    """What one contrast can find with the planned seeds and items (fractions).

    Only for contrasts of two arms on the headline's metric and cell, whose spreads the study file
    gives, and only with two seeds or more: one seed says nothing about training runs.
    `seeds_for_5_points` is how many an interval of ±5 points takes (in 80 % of studies).
    """

    contrast: str
    arms: tuple[str, ...]
    n_seeds: int
    n_topics: int | None
    n_items: int | None
    mde: float | None
    half_width: float | None
    seeds_for_5_points: int | None


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
    tables = designed(study)
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
        power=tuple(_power(study, tables, contrast) for contrast in study.contrasts),
        assumptions=study.power.source if study.power else None,
    )


def _label(kind: str, id: str, payload: dict[str, Any]) -> str:  # noqa: A002
    if kind == "stage":
        return id.split("/", 1)[1].split(">")[-1]
    return str(payload["config"].get("corpus") or payload["config"].get("benchmark") or kind)


def _updates(study: Study, kind: str, name: str) -> int | None:
    return study.stages[name].train.updates if kind == "stage" else None


def _power(study: Study, tables: dict[str, Table] | None, contrast: ContrastConfig) -> PowerRow:
    seeds = min(len(study.seeds_of(arm)) for arm in contrast.arms)
    size = cell_size(study, tables, contrast)
    spread = study.power
    topics, items = size or (None, None)
    row = PowerRow(contrast.name, contrast.arms, seeds, topics, items, None, None, None)
    headline = next((c for c in study.contrasts if c.name == study.headline), contrast)
    alike = (contrast.metric, contrast.cell) == (headline.metric, headline.cell)
    if size is None or spread is None or not alike or contrast.is_interaction:
        return row
    spreads = (spread.seed_sd, spread.topic_sd, spread.residual_sd)
    row = replace(row, seeds_for_5_points=_seeds_for_5_points(spreads, size))
    if seeds < 2:
        return row
    design = (*spreads, seeds, *size)
    return replace(row, mde=mde(*design), half_width=half_width(*design))


def _seeds_for_5_points(spreads: tuple[float, float, float], size: tuple[int, int]) -> int | None:
    try:
        return seeds_needed(*spreads, *size, half_width=0.05)
    except ConfigError:  # the topics alone make the interval wider
        return None
