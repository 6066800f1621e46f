"""How many topics and items a contrast will have, where the world says so before anything is run.

Leaves out: benchmarks on data, whose items are only known once they are read.
"""

from whyfirst.errors import ConfigError
from whyfirst.evaluate.benchmark import limited
from whyfirst.study.config import ContrastConfig, Study
from whyfirst.study.table import Table


def designed(study: Study) -> dict[str, Table] | None:
    """Metric -> the items a Hearth study will ask one seed about; None for other studies."""
    if study.world is None or "hearth" not in study.benchmarks:
        return None
    from whyfirst.hearth.benchmark import requests, score
    from whyfirst.hearth.world import World

    tables: dict[str, Table] = {}
    asked = list(requests(World(study.world.seed), "somebody"))
    for request in limited(asked, study.benchmarks["hearth"].limit, lambda r: r.id):
        for record in score(request, "somebody", ""):
            tables.setdefault(record.benchmark, Table()).add(0, record.to_json())
    return tables


def cell_size(
    study: Study, tables: dict[str, Table] | None, contrast: ContrastConfig
) -> tuple[int, int] | None:
    """Topics and items of a contrast's cell; None where they can't be known yet."""
    if tables is None:
        return None
    table = tables.get(contrast.metric)
    scores = table.scores(contrast.cell, study.cells) if table else None
    return (0, 0) if scores is None else (len(set(scores.topics.tolist())), len(scores.items))


def refuse_empty_cells(study: Study, where: str) -> None:
    """Refuse a study one of whose contrasts would compare nothing.

    Raises:
        ConfigError: names the contrast and its cell.
    """
    tables = designed(study)
    for contrast in study.contrasts:
        if cell_size(study, tables, contrast) == (0, 0):
            raise ConfigError(
                f"{where}: contrasts: {contrast.name}: no item of {contrast.metric!r} is in cell "
                f"{contrast.cell!r}; choose another cell, or raise the benchmark's `limit`"
            )
