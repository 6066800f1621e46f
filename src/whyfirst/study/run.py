"""Running a study file to its report: plan, work, results, report.

A finished study run again computes nothing and writes nothing. Leaves out: the work itself
(executor.py, kinds.py) and how it is shown while it runs (the command line).
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from whyfirst.config.errors import ConfigError, DataError, StoreError, UserError
from whyfirst.config.files import atomic_write, write_json
from whyfirst.models.spend import RUN, new_run
from whyfirst.report.schema import Results, load_results, results_to_json
from whyfirst.report.unit import PAGE_FILE, RESULTS_FILE, is_whole, one_unit
from whyfirst.study.config import NONE, Overrides
from whyfirst.study.execute.executor import Event, Outcome, run_graph
from whyfirst.study.execute.graph import Node
from whyfirst.study.execute.pool import OpenWorkers, default_workers, visible_gpus
from whyfirst.study.execute.store import Incomplete, Store
from whyfirst.study.nodes.rows_ahead import forget_rows
from whyfirst.study.plan import Plan, build_plan
from whyfirst.study.reading import refuse_unusable
from whyfirst.study.running import RunPlace, note_run, noted_in_store, shed_weights

RUNNER = "whyfirst.study.nodes:run_node"


@dataclass(frozen=True)
class RunSummary:
    """What a run came to; ``unchanged`` says that it was finished already."""

    plan: Plan
    results: Results
    results_path: Path
    report_path: Path
    outcome: Outcome
    unchanged: bool


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster; `address` is its head's, None as in `RayWorkers`."""

    address: str | None = None


@dataclass(frozen=True)
class StudyStatus:
    """How far a study is; `incomplete` are parts with something still to be done, by id."""

    total: int
    complete: int
    nodes: list[tuple[Node, bool]]
    incomplete: dict[str, Incomplete]


def default_store() -> Path:
    """``WHYFIRST_STORE``, else ``store`` in the current folder."""
    return Path(os.environ.get("WHYFIRST_STORE") or "store")


def default_out(study: str, overrides: Overrides = NONE) -> Path:
    """``runs/STUDY`` in the current folder; with changes of the command, one of its own."""
    return Path("runs") / f"{study}{overrides.suffix}"


def run_study(
    study: Path | Plan,
    *,
    store: Path,
    out: Path | None = None,
    workers: int | None = None,
    command: str = "",
    overrides: Overrides = NONE,
    on_event: Callable[[Event], None] = lambda event: None,
    cluster: Cluster | None = None,
) -> RunSummary:
    """Compute what is missing, then write results.json and the report.

    Args:
        study: the study file, or the plan made of it.
        store: where stages and evaluations are kept; studies may share one.
        out: folder of the report (``runs/STUDY`` when None).
        workers: worker processes; cores or GPUs when None.
        command: the command that reproduces this, for the report.
        overrides: what the command changes in the study file; a plan has its own.
        on_event: told of every node.
        cluster: compute on Ray and not in processes of this machine.

    Raises:
        UserError: a mistake in the study, or nodes that failed (each with its reason); what is
            complete is kept.
        KeyboardInterrupt: passed on; the same call continues.
    """
    plan = study if isinstance(study, Plan) else build_plan(study, overrides)
    file, overrides, place = plan.file, plan.overrides, Store(store)
    folder = (out or default_out(plan.study.study, overrides)) / "report"
    paths = folder / RESULTS_FILE, folder / PAGE_FILE
    finished = _finished(plan, place, folder)
    if finished is not None:
        outcome = Outcome(reused=[node.id for node in plan.nodes])
        return RunSummary(plan, finished, *paths, outcome, True)
    refuse_unusable(plan, place)
    forget_rows()
    open_workers: OpenWorkers | None = None
    if cluster is None:
        _refuse_lacking_gpus(plan, workers or default_workers())
    else:
        from whyfirst.study.execute.ray_executor import RayWorkers

        open_workers = partial(RayWorkers, place, RUNNER, workers, cluster.address)
    note_run(folder.parent, RunPlace(file, store, overrides))
    os.environ[RUN] = new_run()  # workers inherit it: they spend together
    with noted_in_store(plan, place):
        outcome = run_graph(
            plan.nodes, place, workers=workers or default_workers(), runner=RUNNER,
            on_event=on_event, open_workers=open_workers,
        )  # fmt: skip
    if outcome.failed:
        what = [f"  {name}: {why}" for name, why in (outcome.failed | outcome.incomplete).items()]
        raise UserError(
            f"{file}: {len(what)} of {len(plan.nodes)} parts did not finish:\n"
            + "\n".join(what)
            + "\nWhat is complete is kept; run the same command again once the cause is mended."
        )
    _refuse_damaged(plan, place)
    results = _told(plan, place, outcome, command, folder)
    if plan.study.keep == "last" and not outcome.incomplete:
        shed_weights(plan, place)
    return RunSummary(plan, results, *paths, outcome, False)


def _told(plan: Plan, store: Store, outcome: Outcome, command: str, folder: Path) -> Results:
    """The results of what is complete, written with their items and the page as one unit."""
    from whyfirst.report.html import report_html
    from whyfirst.report.items import write_items
    from whyfirst.study.register import note_results
    from whyfirst.study.results import imported
    from whyfirst.study.results.assemble import assemble

    note_results(plan, store)
    results, items = assemble(plan, store, outcome, command)
    # What was imported of other tools before the study was computed anew stays.
    others = imported.load(folder)
    if others:
        results = imported.joined(results, others)
    with one_unit(folder):
        # Arms and metrics stand in the study file's order, and a report read back keeps it.
        write_json(folder / RESULTS_FILE, results_to_json(results), keep_order=True)
        write_items(items, folder / RESULTS_FILE)
        atomic_write(folder / PAGE_FILE, report_html(results, items))
    return results


def _finished(plan: Plan, store: Store, folder: Path) -> Results | None:
    """The results, if they are this plan's and everything is complete."""
    if not is_whole(folder):
        return None
    from whyfirst.study.results.assemble import describes

    # Results of another version, or torn by a full disk, are written anew.
    try:
        results = load_results(folder / RESULTS_FILE)
    except DataError:
        return None
    done = describes(results, plan, store) and all(store.complete(*n.key) for n in plan.nodes)
    return results if done else None


def _refuse_damaged(plan: Plan, store: Store) -> None:
    """Put results aside whose bytes have changed, before a report is made of them.

    Raises:
        StoreError: there are such; the same command computes them again.
    """
    told = []
    for node in plan.nodes:
        damage = store.check(*node.key) if store.complete(*node.key) else ""
        if damage:
            with store.lock(*node.key):
                place = store.put_aside(*node.key, damage)
            told.append(f"  {node.id}: {damage} (put aside: {place})")
    if told:
        raise StoreError(
            f"{store.root}: results are damaged:\n" + "\n".join(told) + "\nNo report was made of "
            "them; run the same command again to have them computed anew, and check the disk"
        )


def _refuse_lacking_gpus(plan: Plan, workers: int) -> None:
    """Refuse a stage of more processes than a worker has GPUs before anything is paid for.

    Raises:
        ConfigError: names the stage and the remedy.
    """
    gpus = len(visible_gpus())
    each = max(1, gpus // workers)
    for name, use in plan.study.stages.items():
        if gpus and use.train.processes > each:
            raise ConfigError(
                f"{plan.file}: stages.{name}.train.processes: {use.train.processes} processes need "
                f"as many GPUs, and each of {workers} workers has {each}; workers share out a "
                "machine's GPUs, so give --workers 1, or ask for fewer processes"
            )


def study_status(file: Path, store: Path, overrides: Overrides = NONE) -> StudyStatus:
    """Which nodes of a study are complete."""
    plan, place = build_plan(file, overrides), Store(store)
    nodes = [(node, place.complete(*node.key)) for node in plan.nodes]
    left = {node.id: place.incomplete(*node.key) for node, done in nodes if not done}
    incomplete = {name: what for name, what in left.items() if what is not None}
    return StudyStatus(len(nodes), sum(done for _, done in nodes), nodes, incomplete)
