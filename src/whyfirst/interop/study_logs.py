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
from whyfirst.study.plan import build_plan
from whyfirst.study.running import noted_run, unfinished


def write_study_logs(
    run: Path, folder: Path, progress: Callable[[int, int, str], None]
) -> list[Path]:
    """Write `folder`/ARM/BENCHMARK-seed-N.eval for every evaluation of an arm's final model.

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
    # A checkpoint on the way is no model that anybody trained to the end.
    uses = [use for use in plan.evaluations if use.step is None]
    written = []
    for number, use in enumerate(uses):
        name = f"{use.arm}/{use.benchmark}-seed-{use.seed}.eval"
        progress(number, len(uses), name)
        node = plan.by_id[use.node]
        rows = read_jsonl(store.folder(*node.key) / "items.jsonl")
        about = {
            "study": plan.study.study, "arm": use.arm, "seed": use.seed,
            "stages": list(plan.study.arms[use.arm].stages), "fingerprint": node.fingerprint,
        }  # fmt: skip
        written.append(inspect_log.write_log(
            folder / name, benchmark_named(use.benchmark), [*map(ItemResult.from_json, rows)],
            f"{plan.study.study}/{use.arm}", about,
        ))  # fmt: skip
    progress(len(uses), len(uses), "")
    return written
