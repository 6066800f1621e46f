"""`whyfirst report RUN`, and what every command that takes a finished run does first.

Leaves out: what is in a report (`whyfirst.report`).
"""

from pathlib import Path
from typing import TYPE_CHECKING

from whyfirst.cli import output
from whyfirst.config.errors import UserError

if TYPE_CHECKING:
    from whyfirst.report.schema import Results


def report(run: Path, compare: Path | None, log: Path | None, *, as_json: bool) -> None:
    """Write a run's page anew from its results.json, or the page of two runs side by side.

    Args:
        log: a folder to write the run's evaluations into, as Inspect logs.

    Raises:
        UserError: no results there, or of another schema version; no logs can be written.
    """
    from whyfirst.report.compare import render_comparison
    from whyfirst.report.html import render_report
    from whyfirst.report.unit import ITEMS_FILE, PAGE_FILE, one_unit

    results = results_of(run)
    if compare is None:
        with one_unit(run / "report", [PAGE_FILE]):
            written = render_report(results, run)
    else:
        written = render_comparison(results, results_of(compare), run, compare.resolve().name)
    browsable = written.with_name(ITEMS_FILE).is_file()
    logs = None if log is None else _write_logs(run, log, as_json=as_json)
    if as_json:
        source = run / "report" / "results.json"
        output.print_json({
            "results": str(source), "report": str(written), "items": browsable, "logs": logs,
        })  # fmt: skip
        return
    output.say(f"report: {written}")
    if logs is not None:
        output.say(f"{logs} logs: {log} (inspect view --log-dir {log})")
    if compare is None and not browsable:
        output.say(
            f"without {ITEMS_FILE} beside results.json the page shows examples and can't browse "
            "every item; copy it there too, or run the study again"
        )


def _write_logs(run: Path, folder: Path, *, as_json: bool) -> int:
    from whyfirst.cli import progress
    from whyfirst.interop.study_logs import write_study_logs

    with output.nothing_printed(as_json), progress.steps("Inspect logs") as step:
        return len(write_study_logs(run, folder, step))


def run_folder(given: Path) -> Path:
    """The folder that was given; where there is none, the run of that name under ``runs``."""
    named = Path("runs") / given
    is_name = len(given.parts) == 1
    return named if is_name and not given.exists() and named.is_dir() else given


def store_of(run: Path, given: Path | None) -> Path:
    """Where a run's models are: as given, else as the run noted, else the default store.

    Raises:
        DataError: the run's note can't be read.
    """
    from whyfirst.study.run import default_store
    from whyfirst.study.running import noted_run

    if given is not None:
        return given
    noted = noted_run(run)
    return noted.store if noted is not None and noted.store.is_dir() else default_store()


def results_of(run: Path) -> "Results":
    """A finished run's results.

    Raises:
        UserError: the run isn't finished (says what is missing), the folder is no run's, or its
            results are of another schema version.
    """
    from whyfirst.report.gather import completed
    from whyfirst.report.schema import load_results
    from whyfirst.study.running import unfinished

    source = run / "report" / "results.json"
    if source.is_file():
        return completed(load_results(source))
    if (run / "results.json").is_file():
        raise UserError(
            f"{run}: this is a report's own folder; name it `report` and give the folder it is in"
        )
    raise UserError(unfinished(run))
