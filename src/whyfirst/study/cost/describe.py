"""What a study will take and can find, before it is run: ``whyfirst study plan``.

Leaves out: tokens, operations, memory and calls (estimate.py).
"""

import contextlib
from dataclasses import dataclass

from whyfirst.config.errors import ConfigError
from whyfirst.stats.power import half_width, mde, seeds_needed
from whyfirst.study.cost.parts import Ahead
from whyfirst.study.execute.store import Store
from whyfirst.study.nodes.checks import repeats_ahead
from whyfirst.study.nodes.corpus import leaves_out
from whyfirst.study.plan import Plan, cell_size
from whyfirst.study.reading import refuse_unusable
from whyfirst.study.schema import ContrastConfig, PowerAssumptions


@dataclass(frozen=True)
class StageRow:
    """One kind of work: how many nodes after sharing, how many are done already.

    `seconds` are rough, on one core, and None for a real model: see the estimate's hours.
    """

    kind: str
    name: str
    nodes: int
    complete: int
    updates: int | None
    seconds: float | None


@dataclass(frozen=True)
class PowerRow:
    """What one contrast can find with the planned seeds and items (fractions).

    `mde` is what a two-sided test at 5 % finds in 80 % of studies, and `half_width` what half the
    interval does not exceed in 80 % of them; None with one seed, which says nothing about training
    runs. `spread` says whose spreads they assume: the study's own (``study``), the study's though
    measured on the headline's metric and cell (``headline``), or this tool's (``default``).
    `seeds_for_5_points` is how many seeds an interval of ±5 points takes.
    """

    contrast: str
    arms: tuple[str, ...]
    n_seeds: int
    n_topics: int | None
    n_items: int | None
    mde: float | None
    half_width: float | None
    seeds_for_5_points: int | None
    spread: str


@dataclass(frozen=True)
class PlanDescription:
    """The tables of ``whyfirst plan``; `repeats` says which rows repeat what a benchmark asks,
    `left_out` which a corpus' methods leave out, and why."""

    study: str
    seeds: dict[str, int]
    stages: tuple[StageRow, ...]
    power: tuple[PowerRow, ...]
    assumptions: str
    repeats: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


# What a contrast is assumed to spread where the study file says nothing.
DEFAULT = PowerAssumptions(
    seed_sd=0.053,
    topic_sd=0.05,
    residual_sd=0.5,
    source="no `power` in the study file: seeds spread as in a published replication (0.053), "
    "topics by 0.05, and one pair of answers in four differs",
)


def describe_plan(plan: Plan, store: Store) -> PlanDescription:
    """Count the plan's nodes by what they do, and compute its minimum detectable effects.

    Raises:
        UserError: as `refuse_unusable`.
    """
    refuse_unusable(plan)
    study, ahead = plan.study, Ahead(plan.study, plan.nodes, store, None, None)
    rows = []
    for kind, name in dict.fromkeys((node.kind, node.name) for node in plan.nodes):
        nodes = ahead.by_name(kind)[name]
        updates = study.stages[name].train.updates if kind == "stage" else None
        # A real model's weights are no seconds: the estimate has hours.
        timed = study.model.source != "pretrained"
        seconds = round(sum(node.weight for node in nodes), 1) if timed else None
        done = len(nodes) - ahead.left(nodes)
        rows.append(StageRow(kind, name, len(nodes), done, updates, seconds))
    return PlanDescription(
        study=study.study,
        seeds={arm: len(study.seeds_of(arm)) for arm in study.arms},
        stages=tuple(rows),
        power=tuple(_power(plan, contrast) for contrast in study.contrasts),
        assumptions=(study.power or DEFAULT).source,
        repeats=tuple(count.words for count in repeats_ahead(plan.by_id, store)),
        left_out=tuple(leaves_out(plan.nodes, store)),
    )


def _power(plan: Plan, contrast: ContrastConfig) -> PowerRow:
    study = plan.study
    seeds = min(len(study.seeds_of(arm)) for arm in contrast.arms)
    headline = next((c for c in study.contrasts if c.name == study.headline), contrast)
    alike = (contrast.metric, contrast.cell) == (headline.metric, headline.cell)
    spread = "default" if study.power is None else "study" if alike else "headline"
    size = cell_size(plan, contrast)
    topics, items = size or (None, None)
    least, half, needed = None, None, None
    if size is not None:
        # An interaction is a difference of two differences: twice the variance.
        factor, most = (2**0.5, 2.0) if contrast.is_interaction else (1.0, 1.0)
        given = study.power or DEFAULT
        spreads = factor * given.seed_sd, factor * given.topic_sd, factor * given.residual_sd
        # Where the topics alone make the interval wider no number of seeds helps.
        with contextlib.suppress(ConfigError):
            needed = seeds_needed(*spreads, *size, half_width=0.05)
        if seeds > 1:
            least = min(most, mde(*spreads, seeds, *size))
            half = min(most, half_width(*spreads, seeds, *size))
    return PowerRow(contrast.name, contrast.arms, seeds, topics, items, least, half, needed, spread)
