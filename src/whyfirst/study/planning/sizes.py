"""How many topics and items a contrast will have, told before anything is run.

Leaves out: what scoring them costs (cost/estimate.py).
"""

from functools import partial
from typing import TYPE_CHECKING

from whyfirst.config.errors import ConfigError, UserError
from whyfirst.evaluate.benchmark import benchmark_named
from whyfirst.study.config import ContrastConfig
from whyfirst.study.cost.rehearsal import Rehearsal, rehearse
from whyfirst.study.kinds import benchmark_task

if TYPE_CHECKING:
    from whyfirst.study.planning.plan import Plan


def rehearsals(plan: "Plan") -> dict[str, Rehearsal]:
    """Benchmark -> its rehearsal at seed 0, for those that can be rehearsed.

    A benchmark of another package that can't answer to a model without answers is left out.
    """
    found = (rehearsal(plan, name) for name in {use.benchmark: None for use in plan.evaluations})
    return {one.benchmark: one for one in found if one is not None}


def rehearsal(plan: "Plan", benchmark: str) -> Rehearsal | None:
    """One benchmark's rehearsal, once in a process for each of its evaluations' designs.

    Raises:
        UserError: its data can't be read, or hold nothing.
    """
    use = next(use for use in plan.evaluations if use.benchmark == benchmark)
    node = plan.by_id[use.node]
    try:
        task = partial(benchmark_task, node.payload["config"], node.payload.get("path"))
        return rehearse(benchmark, node.fingerprint, node.payload.get("judges", ()), task)
    except UserError:
        raise
    except Exception:  # somebody's benchmark may need a real answer
        return None


def cell_size(plan: "Plan", contrast: ContrastConfig) -> tuple[int, int] | None:
    """Topics and items of a contrast's cell at one seed; None where they can't be known yet."""
    found = rehearsal(plan, _owner(plan, contrast))
    if found is None:
        return None
    table = found.tables.get(contrast.metric)
    scores = table.scores(contrast.cell, plan.study.cells) if table else None
    return (0, 0) if scores is None else (len(set(scores.topics.tolist())), len(scores.items))


def _owner(plan: "Plan", contrast: ContrastConfig) -> str:
    """The benchmark that gives the contrast's metric."""
    return next(
        name
        for name in plan.study.benchmarks
        if any(metric.name == contrast.metric for metric in benchmark_named(name).metrics)
    )


def refuse_empty_cells(plan: "Plan", *, reading: bool) -> None:
    """Refuse a study one of whose contrasts would compare nothing.

    Args:
        reading: read data for it too, where a contrast is on a part of a benchmark (the whole of
            one is empty only where the benchmark itself refuses its data).

    Raises:
        ConfigError: names the contrast and its cell.
    """
    for contrast in plan.study.contrasts:
        has_data = plan.study.benchmarks[_owner(plan, contrast)].data is not None
        if has_data and (not reading or contrast.cell == "*/*"):
            continue
        if cell_size(plan, contrast) == (0, 0):
            raise ConfigError(
                f"{plan.file}: contrasts: {contrast.name}: no item of {contrast.metric!r} is in "
                f"cell {contrast.cell!r}; choose another cell, or raise the benchmark's `limit`"
            )
