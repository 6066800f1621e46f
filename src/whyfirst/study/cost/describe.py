"""What a study will take and can find, before it is run: ``whyfirst study plan``.

Leaves out: tokens, operations, memory and calls (estimate.py).
"""

from collections import Counter
from dataclasses import dataclass, replace

from whyfirst.config.errors import ConfigError
from whyfirst.stats.power import half_width, mde, seeds_needed
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


#: what a contrast is assumed to spread where the study file says nothing
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
    study = plan.study
    counts: Counter[tuple[str, str]] = Counter()
    done: Counter[tuple[str, str]] = Counter()
    seconds: Counter[tuple[str, str]] = Counter()
    for node in plan.nodes:
        key = (node.kind, node.name)
        counts[key] += 1
        seconds[key] += node.weight  # type: ignore[assignment]
        done[key] += store.complete(*node.key)
    timed = study.model.source != "pretrained"
    rows = tuple(
        StageRow(kind, name, counts[kind, name], done[kind, name],
                 study.stages[name].train.updates if kind == "stage" else None,
                 round(float(seconds[kind, name]), 1) if timed else None)
        for kind, name in counts
    )  # fmt: skip
    return PlanDescription(
        study=study.study,
        seeds={arm: len(study.seeds_of(arm)) for arm in study.arms},
        stages=rows,
        power=tuple(_power(plan, contrast) for contrast in study.contrasts),
        assumptions=(study.power or DEFAULT).source,
        repeats=tuple(count.words for count in repeats_ahead(plan.by_id, store)),
        left_out=tuple(leaves_out(plan.nodes, store)),
    )


def _power(plan: Plan, contrast: ContrastConfig) -> PowerRow:
    study = plan.study
    seeds = min(len(study.seeds_of(arm)) for arm in contrast.arms)
    size = cell_size(plan, contrast)
    topics, items = size or (None, None)
    headline = next((c for c in study.contrasts if c.name == study.headline), contrast)
    alike = (contrast.metric, contrast.cell) == (headline.metric, headline.cell)
    spread = "default" if study.power is None else "study" if alike else "headline"
    row = PowerRow(contrast.name, contrast.arms, seeds, topics, items, None, None, None, spread)
    if size is None:
        return row
    # An interaction is a difference of two differences: twice the variance.
    factor = 2**0.5 if contrast.is_interaction else 1.0
    given = study.power or DEFAULT
    spreads = (
        factor * given.seed_sd, factor * given.topic_sd, factor * given.residual_sd
    )  # fmt: skip
    row = replace(row, seeds_for_5_points=_seeds_for_5_points(spreads, size))
    if seeds < 2:
        return row
    most = 2.0 if contrast.is_interaction else 1.0
    found = mde(*spreads, seeds, *size), half_width(*spreads, seeds, *size)
    return replace(row, mde=min(most, found[0]), half_width=min(most, found[1]))


def _seeds_for_5_points(spreads: tuple[float, float, float], size: tuple[int, int]) -> int | None:
    try:
        return seeds_needed(*spreads, *size, half_width=0.05)
    except ConfigError:  # the topics alone make the interval wider
        return None
