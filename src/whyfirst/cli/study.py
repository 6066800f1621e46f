"""`whyfirst demo` and `whyfirst study ...`: run, register and look at studies.

Leaves out: the work (study/run.py), the report (report/) and the plan (planning.py).
"""

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import typer

from whyfirst.cli.output import nothing_printed, print_json, say, standard, table, warn
from whyfirst.config.errors import ConfigError, UserError
from whyfirst.report.html import duration
from whyfirst.study.execute.executor import default_workers
from whyfirst.study.execute.store import Store
from whyfirst.study.overrides import NONE, Overrides
from whyfirst.study.plan import build_plan
from whyfirst.study.run import Cluster, RunSummary, default_store, run_study, study_status
from whyfirst.study.shipped import study_file

if TYPE_CHECKING:
    from whyfirst.study.execute.time_left import Tracker

Executor = Literal["local", "ray"]


def run(
    file: Path,
    *,
    store: Path | None,
    out: Path | None,
    workers: int | None,
    as_json: bool,
    command: str,
    overrides: Overrides = NONE,
    executor: Executor = "local",
    address: str | None = None,
) -> None:
    """Run a study to its report and print the answer.

    Args:
        command: the words after `whyfirst` that name this study, for the report.
        overrides: what else the command says of it.
        executor, address: where it is computed.
    """
    from whyfirst.cli.progress import study_progress

    if address is not None and executor != "ray":
        raise ConfigError("--address is a Ray cluster's: give --executor ray as well")

    def tracker() -> "Tracker":
        from whyfirst.study.cost.timing import tracker_of

        plan, place = build_plan(file, overrides), Store(store or default_store())
        return tracker_of(plan, place, workers or default_workers(), measure=True)()

    with (
        nothing_printed(as_json),
        study_progress(file.stem, tracker) as on_event,
    ):
        summary = run_study(
            file,
            store=store or default_store(),
            out=out,
            workers=workers,
            command=f"whyfirst {command}{overrides.words}",
            overrides=overrides,
            on_event=on_event,
            cluster=Cluster(address) if executor == "ray" else None,
        )
    if as_json:
        print_json(summary_json(summary))
        _end_incomplete(summary)
        return
    from whyfirst.report.terminal import print_headline

    standard().print(print_headline(summary.results))
    say(f"\n{_what_was_done(summary)}")
    say(f"report: {summary.report_path}")
    _end_incomplete(summary)


def _end_incomplete(summary: RunSummary) -> None:
    """Where answers are missing for a reason that passes: say so, and end as a failure does."""
    left = summary.outcome.incomplete
    if left:
        for name, what in left.items():
            warn(f"{name}: {what}")
        warn(
            f"the report counts them as unscored; {len(left)} parts are incomplete, and the same "
            "command asks again for what is missing"
        )
        raise typer.Exit(2)


def _what_was_done(summary: RunSummary) -> str:
    outcome = summary.outcome
    if summary.unchanged:
        return f"complete already: nothing to compute ({len(outcome.reused)} parts in the store)"
    spent = sum(outcome.seconds.get(name, 0.0) for name in outcome.computed)
    return (
        f"computed {len(outcome.computed)} parts ({duration(spent)} of work), "
        f"{len(outcome.reused)} came from the store"
    )


def summary_json(summary: RunSummary) -> dict[str, Any]:
    """What `--json` prints of a run: the headline, where everything is, and what it took."""
    headline = summary.results.headline_contrast()
    return {
        "study": summary.results.study.name,
        "headline": headline.model_dump(mode="json", exclude={"per_seed"}) if headline else None,
        "results": str(summary.results_path),
        "report": str(summary.report_path),
        "unchanged": summary.unchanged,
        "computed": len(summary.outcome.computed),
        "reused": len(summary.outcome.reused),
        "incomplete": {name: asdict(what) for name, what in summary.outcome.incomplete.items()},
    }


def register(given: str, *, store: Path | None, as_json: bool) -> None:
    """Freeze a study's plan beside its file, and say whether that came in time.

    Raises:
        UserError: it ships with the package, so that nothing can be written beside it.
    """
    from whyfirst.study import register as registrar

    file = study_file(given)
    package = Path(registrar.__file__).parents[1]
    ships = not Path(given).is_file() or file.resolve().is_relative_to(package)
    if ships and not registrar.registration_path(file).exists():
        raise UserError(
            f"{given} ships with the package and isn't yours to register: copy {file} to a folder "
            "of your own, give the copy another name (`study:`) if you change it, and register it "
            "by its path"
        )
    found = registrar.register(file, Store(store or default_store()))
    if as_json:
        told = asdict(found) | {"study_file": str(file), "registration": str(found.path)}
        print_json({name: value for name, value in told.items() if name != "path"})
        return
    if found.new:
        say(f"registered: {found.path}")
    else:
        say(f"registered already, on {found.at}, with this plan: {found.path}")
    say(f"sha256 {found.sha256}")
    if found.new and found.results:
        warn(
            f"the store holds {found.results} results of this plan already, so reports will say "
            "that it was registered after its first result"
        )


def status(file: Path, *, store: Path | None, as_json: bool, overrides: Overrides = NONE) -> None:
    """Print how much of a study is complete."""
    found = study_status(file, store or default_store(), overrides)
    every = Counter(node.kind for node, _ in found.nodes)
    done = Counter(node.kind for node, complete in found.nodes if complete)
    if as_json:
        kinds = {kind: {"total": every[kind], "complete": done[kind]} for kind in every}
        missing = [node.id for node, complete in found.nodes if not complete]
        waiting = {name: asdict(what) for name, what in found.incomplete.items()}
        print_json({"total": found.total, "complete": found.complete, "kinds": kinds,
                    "missing": missing, "incomplete": waiting})  # fmt: skip
        return
    table(
        [("work", "left"), ("complete", "right"), ("of", "right")],
        [(kind, done[kind], every[kind]) for kind in every],
    )
    for name, what in found.incomplete.items():
        warn(f"{name}: {what}")
    left = found.total - found.complete
    say(
        "complete"
        if not left
        else f"{left} of {found.total} parts are missing; `study run` goes on"
    )
