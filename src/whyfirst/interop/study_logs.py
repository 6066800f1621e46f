"""A finished study's evaluations as Inspect logs: one for each arm, seed and benchmark.

Read from the store, where every item is; a report keeps one seed's. Leaves out: the points of a
checkpoint curve, and what the log of one benchmark holds (`inspect_log`).
"""

from collections.abc import Callable
from pathlib import Path

from whyfirst.config.errors import UserError
from whyfirst.config.files import read_jsonl
from whyfirst.evaluate.benchmark import benchmark_named
from whyfirst.evaluate.item import ItemResult
from whyfirst.interop import inspect_log
from whyfirst.study.execute.store import Store
from whyfirst.study.plan import EvaluationUse, Plan, build_plan
from whyfirst.study.running import noted_run, unfinished

ITEMS = "items.jsonl"


def write_study_logs(
    run: Path, folder: Path, progress: Callable[[int, int, str], None]
) -> list[Path]:
    """Write `folder`/ARM/BENCHMARK-seed-N.eval for every evaluation of an arm's final model.

    What is asked at the seam, after an arm's first stage, is BENCHMARK-seam-seed-N.eval.

    Args:
        run: a finished run's folder.
        progress: called with (logs written, logs in all, the next one's name).

    Raises:
        UserError: Inspect is not installed, or the run's study file or a part of its store is gone.
    """
    inspect_log.installed()
    place = noted_run(run)
    if place is None:
        raise UserError(
            f"{run}: --log needs the items, which are in the run's store, and the run no longer "
            "names its study and store; run the study again"
        )
    plan, store = build_plan(place.file, place.overrides), Store(place.store)
    # A log of some of the seeds would pass for all of them.
    if not all(store.complete(*node.key) for node in plan.nodes):
        raise UserError(unfinished(run))
    logs, written = logs_of(plan), []
    for number, (name, uses) in enumerate(logs.items()):
        progress(number, len(logs), name)
        nodes, one = [plan.by_id[use.node] for use in uses], uses[0]
        rows = [row for node in nodes for row in read_jsonl(store.folder(*node.key) / ITEMS)]
        about = {
            "study": plan.study.study, "arm": one.arm, "seed": one.seed,
            "stages": list(plan.study.arms[one.arm].stages)[: 1 if one.seam else None],
            "fingerprint": " ".join(node.fingerprint for node in nodes),
        }  # fmt: skip
        written.append(inspect_log.write_log(
            folder / name, benchmark_named(one.benchmark), [*map(ItemResult.from_json, rows)],
            f"{plan.study.study}/{one.arm}", about,
        ))  # fmt: skip
    progress(len(logs), len(logs), "")
    return written


def logs_of(plan: Plan) -> dict[str, list[EvaluationUse]]:
    """A log's name -> the evaluations it holds: one, or one for each side of a world."""
    logs: dict[str, list[EvaluationUse]] = {}
    for use in plan.evaluations:
        # A checkpoint on the way is no model that anybody trained to the end; what is asked at the
        # seam is of another model than the arm's.
        if use.step is None:
            seam = "-seam" if use.seam else ""
            name = f"{use.arm}/{use.benchmark}{seam}-seed-{use.seed}.eval"
            logs.setdefault(name, []).append(use)
    return logs
