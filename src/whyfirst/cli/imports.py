"""`whyfirst report --import-log`: other tools' scores of an arm, joined to a run's report.

Leaves out: reading the files (interop/), and running the other tools.
"""

from collections.abc import Sequence
from pathlib import Path

from whyfirst.cli.output import nothing_printed, say, warn


def take_in(run: Path, logs: Sequence[str], lower: Sequence[str], *, as_json: bool) -> None:
    """Join to the run's results.json what was imported before and what is given now.

    Args:
        run: a finished run's folder.
        logs: ``ARM=FILE`` or ``ARM:SEED=FILE``.
        lower: metrics of which less is better.

    Raises:
        UserError: a word that fits nothing, or a file that can't be taken; nothing is written.
    """
    from whyfirst.cli.reporting import results_of
    from whyfirst.config.files import write_json
    from whyfirst.interop.reading import read_any
    from whyfirst.report.schema import results_to_json
    from whyfirst.report.unit import PAGE_FILE, RESULTS_FILE, one_unit
    from whyfirst.study.results import imported

    folder = run / "report"
    kept = imported.load(folder)
    if not (kept or logs or lower):
        return
    results = results_of(run)
    turned = {one.name for one in kept if not one.higher_is_better}
    news: list[str] = []
    with nothing_printed(as_json):
        for arm, seed, path in [imported.parse_target(text, results) for text in logs]:
            found, left = read_any(path)
            for name, why in left.items():
                warn(f"{path}: {name} is left out: {why}")
            whose = {"arm": arm, "seed": seed}
            kept = imported.add(kept, [one.model_copy(update=whose) for one in found])
            names = ", ".join(one.name for one in found)
            news.append(f"imported for {arm}, seed {seed}: {names}")
    kept = imported.lower_is_better(kept, [*turned, *lower])
    joined = imported.joined(results, kept)
    if logs or lower:
        imported.save(folder, kept)
    if joined != results:
        with one_unit(folder, [RESULTS_FILE, PAGE_FILE]):
            write_json(folder / RESULTS_FILE, results_to_json(joined), keep_order=True)
    with nothing_printed(as_json):
        for line in news:
            say(line)
