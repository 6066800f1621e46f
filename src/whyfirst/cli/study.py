"""`whyfirst demo` and `whyfirst study ...`: run, plan, register and look at studies.

Leaves out: the work (study/run.py), the report (report/) and what a plan prints (planning.py).
"""

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer import Option

from whyfirst.cli.options import (
    AsJson,
    OutPath,
    StorePath,
    StudyName,
    StudyOptions,
    Workers,
    group,
    store_at,
)
from whyfirst.cli.output import command, nothing_printed, print_json, say, standard, table, warn
from whyfirst.config.errors import ConfigError, UserError
from whyfirst.config.text import duration

if TYPE_CHECKING:
    from whyfirst.study.execute.time_left import Tracker
    from whyfirst.study.run import Cluster, RunSummary

study_app = group("Run, plan and register studies.")
Executor = Literal["local", "ray"]


@command
def demo(
    quick: Annotated[bool, Option("--quick", help="A smaller study, to see it work.")] = False,
    store: StorePath = None,
    out: OutPath = None,
    workers: Workers = None,
    as_json: AsJson = False,
) -> None:
    """Run the shipped study of the embedded world, from nothing to a report."""
    from whyfirst.study.shipped import shipped_study
    from whyfirst.worlds import shipped

    named = StudyOptions(str(shipped_study(shipped().facts["demos"][quick])), store)
    words = "demo --quick" if quick else "demo"
    _run(named, words, out=out, workers=workers, as_json=as_json)


@study_app.command("run")
@command
def run(
    study: StudyOptions,
    out: OutPath = None,
    workers: Workers = None,
    executor: Annotated[
        Executor, Option(help="This machine's processes, or tasks on a Ray cluster.")
    ] = "local",
    address: Annotated[
        str | None, Option(help="HOST:PORT of the cluster's head (default: this machine).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run a study; what is complete is reused, and a killed run continues."""
    import shlex

    from whyfirst.study.run import Cluster

    # It would do nothing, silently.
    if address is not None and executor != "ray":
        raise ConfigError("--address is a Ray cluster's: give --executor ray as well")
    cluster = Cluster(address) if executor == "ray" else None
    # As it can be typed again: the report prints it.
    words = f"study run {shlex.quote(study.file)}"
    _run(study, words, out=out, workers=workers, as_json=as_json, cluster=cluster)


def _run(
    study: StudyOptions, words: str, *, out: Path | None, workers: int | None, as_json: bool,
    cluster: "Cluster | None" = None,
) -> None:  # fmt: skip
    """Run a study to its report and print the answer; `words` after `whyfirst` name it there."""
    from whyfirst.cli.progress import study_progress
    from whyfirst.study.execute.pool import default_workers
    from whyfirst.study.plan import build_plan
    from whyfirst.study.run import run_study

    place = store_at(study.store)
    with nothing_printed(as_json):
        # One plan for the run and for the estimate of time left.
        plan = build_plan(study.path, study.overrides)

        def tracker() -> "Tracker":
            # Made at the first event only: a finished study has none, and answers at once.
            from whyfirst.study.cost.timing import tracker_of

            return tracker_of(plan, place, workers or default_workers(), measure=True)()

        with study_progress(study.path.stem, tracker) as on_event:
            summary = run_study(
                plan, store=place.root, out=out, workers=workers, on_event=on_event,
                command=f"whyfirst {words}{study.overrides.words}", cluster=cluster,
            )  # fmt: skip
    if as_json:
        print_json(summary_json(summary))
    else:
        show_summary(summary)
    # The answer is printed all the same; it says how many items it rests on.
    left = summary.outcome.incomplete
    if left:  # answers are missing for a reason that passes: end as a failure does
        _warn_of(left)
        warn(
            f"the report counts them as unscored; {len(left)} parts are incomplete, and the same "
            "command asks again for what is missing"
        )
        raise typer.Exit(2)


def _warn_of(incomplete: Any) -> None:
    for name, what in incomplete.items():
        warn(f"{name}: {what}")


def show_summary(summary: "RunSummary") -> None:
    """Print the answer, what was computed for it, and where the report is."""
    from whyfirst.report.terminal import print_headline

    standard().print(print_headline(summary.results))
    outcome = summary.outcome
    if summary.unchanged:
        done = f"complete already: nothing to compute ({len(outcome.reused)} parts in the store)"
    else:
        spent = duration(sum(outcome.seconds.get(name, 0.0) for name in outcome.computed))
        done = f"computed {len(outcome.computed)} parts ({spent} of work), "
        done += f"{len(outcome.reused)} came from the store"
    say(f"\n{done}")
    say(f"report: {summary.report_path}")


def summary_json(summary: "RunSummary") -> dict[str, Any]:
    """What `--json` prints of a run: the headline, where everything is, and what it took."""
    # Without each seed's numbers, which results.json has.
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


@study_app.command("register")
@command
def register(
    file: StudyName,
    store: StorePath = None,
    amend: Annotated[
        str | None, Option(help="Why a plan registered before is replaced by this one.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Freeze a study's plan in a file beside it, before the first result."""
    from whyfirst.study import register as registrar
    from whyfirst.study.shipped import study_file

    path = study_file(file)
    # A shipped study lies where the next installation would remove a registration.
    package = Path(registrar.__file__).parents[1]
    # By name or by its path: either way the file lies in the installation.
    ships = not Path(file).is_file() or path.resolve().is_relative_to(package)
    if ships and not registrar.registration_path(path).exists():
        raise UserError(
            f"{file} ships with the package and isn't yours to register: copy {path} to a folder "
            "of your own, give the copy another name (`study:`) if you change it, and register it "
            "by its path"
        )
    done = registrar.register(path, store_at(store), amend)
    if as_json:
        told = asdict(done) | {"study_file": str(path), "registration": str(done.path)}
        print_json({name: value for name, value in told.items() if name != "path"})
        return
    already = "" if done.new or done.amended else f" already, on {done.at}, with this plan"
    say(f"{'amended' if done.amended else 'registered'}{already}: {done.path}")
    say(f"sha256 {done.sha256}")
    if done.amended:
        say(
            f"the store holds {done.results} evaluations of this plan, and results were put "
            f"together {done.looks} times before: reports will say both"
        )
    if done.new and done.results:
        warn(
            f"the store holds {done.results} results of this plan already, so reports will say "
            "that it was registered after its first result"
        )


@study_app.command("status")
@command
def status(study: StudyOptions, as_json: AsJson = False) -> None:
    """Show how much of a study is complete."""
    from whyfirst.study.run import study_status

    state = study_status(study.path, store_at(study.store).root, study.overrides)
    every = Counter(node.kind for node, _ in state.nodes)
    done = Counter(node.kind for node, complete in state.nodes if complete)
    if as_json:
        kinds = {kind: {"total": every[kind], "complete": done[kind]} for kind in every}
        missing = [node.id for node, complete in state.nodes if not complete]
        waiting = {name: asdict(what) for name, what in state.incomplete.items()}
        print_json({"total": state.total, "complete": state.complete, "kinds": kinds,
                    "missing": missing, "incomplete": waiting})  # fmt: skip
        return
    rows = [(kind, done[kind], every[kind]) for kind in every]
    table(("work", "complete", "of"), rows, "lr")
    _warn_of(state.incomplete)
    left = state.total - state.complete
    say(f"{left} of {state.total} parts are missing; `study run` goes on" if left else "complete")
