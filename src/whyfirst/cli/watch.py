"""`whyfirst watch RUN`: a running study, live: stages, time left, losses, verdicts as they come.

Reads the store only, so that it can be started and stopped at any time, beside a run in another
terminal or of another machine on the same disk. Verdict rates are of the evaluations finished so
far, without intervals: they move until the last one is in. Leaves out: running anything.
"""

import itertools
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from whyfirst.cli.options import Changes, OtherModel, StorePath, StudyOptions, Trial, Workers
from whyfirst.cli.output import command, print_json, standard
from whyfirst.config.errors import DataError, UserError
from whyfirst.config.text import table_of

if TYPE_CHECKING:
    from rich.console import RenderableType

    from whyfirst.study.execute.store import Store
    from whyfirst.study.execute.time_left import Tracker
    from whyfirst.study.plan import Plan

_EVERY_S = 2.0
_QUIET_S = 600.0  # without a written file for so long, a node is said to be quiet
_BARS = "▁▂▃▄▅▆▇█"
_LINES = 8  # of losses


@dataclass(frozen=True)
class Loss:
    """A stage's logged losses: (update, loss) in order; seconds since it wrote first and last."""

    node: str
    points: list[tuple[int, float]]
    updates: int | None
    begun_s: float
    silent_s: float


@dataclass
class Rates:
    """Verdicts of one arm under one metric so far."""

    passes: int = 0
    scored: int = 0
    unscored: int = 0

    def add(self, other: "Rates") -> None:
        """Count the verdicts of another evaluation too."""
        self.passes += other.passes
        self.scored += other.scored
        self.unscored += other.unscored


@dataclass
class Watched:
    """What is known of a study at one moment."""

    tracker: "Tracker"
    kinds: dict[str, tuple[int, int]] = field(default_factory=dict)
    losses: list[Loss] = field(default_factory=list)
    rates: dict[str, dict[str, Rates]] = field(default_factory=dict)


@command
def watch_command(
    run: Annotated[
        str,
        Argument(metavar="RUN", help="A run's folder or its name in ./runs, or a study's file or "
                 "name.")
    ],
    store: StorePath = None,
    model: OtherModel = None,
    limit: Trial = None,
    changes: Changes = None,
    workers: Workers = None,
    as_json: Annotated[
        bool, Option("--json", help="Print one JSON object of this moment and end.")
    ] = False,
) -> None:  # fmt: skip
    """Show a running study live; outside a terminal, print it once."""
    from rich.live import Live

    from whyfirst.cli.reporting import run_folder
    from whyfirst.report.schema import load_results
    from whyfirst.report.terminal import print_headline
    from whyfirst.study.execute.pool import default_workers
    from whyfirst.study.execute.store import Store
    from whyfirst.study.plan import build_plan
    from whyfirst.study.run import default_store
    from whyfirst.study.running import RunPlace, noted_run

    tried = {"--model": model, "--limit": limit, "--set": changes}
    tried = {option: given for option, given in tried.items() if given}
    plain = not store and not tried  # else it need not be the run of that name
    folder = run_folder(Path(run)) if plain else Path(run)
    if tried and (_is_over(folder) or noted_run(folder) is not None):
        raise UserError(
            f"{', '.join(tried)}: {run} is a run's folder, and was run as it says itself; leave "
            "them out, or give the study's file"
        )
    if _is_over(folder):
        # Nothing to watch: its answer is shown.
        results = load_results(folder / "report" / "results.json")
        if as_json:
            print_json({"study": results.study.name, "complete": True})
        else:
            standard().print(print_headline(results))
        return
    noted = noted_run(folder)
    if noted is None:
        if Path(run).is_dir():
            raise UserError(
                f"{run}: neither results nor a run.json there, so no run of a study; to watch a "
                "study that runs, name its folder or its file"
            )
        named = StudyOptions(run, store, model, limit, changes)
        noted = RunPlace(named.path, default_store(), named.overrides)
    # The plan of now: a study that was edited since is another one, and says so by what it lacks.
    plan, place = build_plan(noted.file, noted.overrides), Store(store or noted.store)
    looker = Looker(plan, place, workers or default_workers())
    if as_json:
        print_json(as_data(looker.look()))
        return
    console = standard()
    # A log file would get the same screen every two seconds.
    if not console.is_terminal:
        console.print(render(plan.study.title, looker.look()))
        return
    with Live(console=console, refresh_per_second=2) as live:
        while True:
            moment = looker.look()
            live.update(render(plan.study.title, moment))
            if moment.tracker.settled:
                break
            time.sleep(_EVERY_S)


def _is_over(run: Path) -> bool:
    """Whether a folder holds results that nothing is computed anew for."""
    from whyfirst.study.running import missing, noted_run

    if not (run / "report" / "results.json").is_file():
        return False
    try:
        noted = noted_run(run)
        return noted is None or not missing(noted)[0]
    except UserError:  # its study file isn't what it was; the results are
        return True


class Looker:
    """Looks at a study's nodes in the store; finished evaluations are read once.

    Args:
        plan: the study's plan.
        store: where it computes.
        workers: how many nodes run at a time, for the time left.
    """

    def __init__(self, plan: "Plan", store: "Store", workers: int) -> None:
        self._plan, self._store, self._workers = plan, store, workers
        from whyfirst.study.cost.timing import tracker_of

        # What the store's other studies took is read once, not at every look.
        self._tracker = tracker_of(plan, store, workers)
        self._counted: dict[str, dict[str, Rates]] = {}
        self._done: dict[str, float] = {}

    def look(self) -> Watched:
        """The state of this moment."""
        from whyfirst.study.execute.executor import Event

        moment = Watched(self._tracker())
        now = time.time()
        for node in self._plan.nodes:
            if node.id not in self._done:
                marker = self._store.marker(*node.key)
                if marker is not None:
                    self._done[node.id] = float(marker.get("run", {}).get("seconds", 0.0))
            # What is complete stays so, and its marker isn't read again.
            complete = node.id in self._done
            total, done = moment.kinds.get(node.kind, (0, 0))
            moment.kinds[node.kind] = (total + 1, done + complete)
            if complete:
                event = Event("finished", node.id, seconds=self._done[node.id])
                moment.tracker.take(event)
            # A folder without a marker is under way, or was left by a process that is gone.
            elif (folder := self._store.folder(*node.key)).is_dir():
                loss = read_loss(node.id, folder, node.payload.get("train", {}).get("updates"), now)
                step = loss.points[-1][0] if loss.points else 0
                moment.tracker.take(
                    Event("progress", node.id, step, loss.updates or 0, "", loss.begun_s)
                )
                if loss.points:
                    moment.losses.append(loss)
        for use in self._plan.evaluations:
            # Checkpoints, and models at the seam, are others than the arm's own.
            if use.step is None and not use.seam and use.node in self._done:
                for metric, counts in self._count(use.node).items():
                    moment.rates.setdefault(use.arm, {}).setdefault(metric, Rates()).add(counts)
        return moment

    def _count(self, name: str) -> Mapping[str, Rates]:
        """Metric -> verdicts of one finished evaluation, read off its items once."""
        from whyfirst.config.files import read_jsonl

        if name not in self._counted:
            counts: dict[str, Rates] = {}
            folder = self._store.folder(*self._plan.by_id[name].key)
            for row in read_jsonl(folder / "items.jsonl"):
                verdict = row["verdict"]
                counts.setdefault(str(row["benchmark"]), Rates()).add(
                    Rates(verdict == "pass", verdict != "unscored", verdict == "unscored")
                )
            self._counted[name] = counts
        return self._counted[name]


def read_loss(name: str, folder: Path, updates: int | None, now: float) -> Loss:
    """A node's losses so far; none where it logs nothing. `now` is a time.time()."""
    from whyfirst.config.files import read_jsonl

    path = folder / "log.jsonl"
    try:
        rows = read_jsonl(path, allow_torn_tail=True) if path.is_file() else []
        # Clocks of machines on one disk differ: no file is from the future.
        ages = [max(0.0, now - one.stat().st_mtime) for one in folder.iterdir()]
    except (DataError, OSError):  # being written, or moved away, at this moment
        # The next look comes in two seconds.
        rows, ages = [], []
    points = [(int(row["step"]), float(row["loss"])) for row in rows
              if isinstance(row.get("loss"), int | float) and "step" in row]  # fmt: skip
    return Loss(name, points, updates, max(ages, default=0.0), min(ages, default=0.0))


def sparkline(values: Sequence[float], width: int = 24) -> str:
    """Values as bars, the lowest as the shortest; more than `width` are averaged in equal runs.

    What is no finite number has no bar.
    """
    values = [value for value in values if math.isfinite(value)]
    if not values:
        return ""
    count = min(width, len(values))
    # Cut by share and not by size, so that the last run isn't a stump.
    cuts = [round(place * len(values) / count) for place in range(count + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in itertools.pairwise(cuts)]
    # A flat line has no span and one height.
    low, span = min(means), (max(means) - min(means)) or 1.0
    return "".join(_BARS[min(7, int((value - low) / span * 8))] for value in means)


def render(title: str, moment: Watched) -> "RenderableType":
    """The moment as a renderable: progress, kinds of work, losses, verdict rates."""
    from rich.console import Group
    from rich.text import Text

    from whyfirst.cli.progress import overall

    work = ", ".join(f"{kind} {done}/{total}" for kind, (total, done) in moment.kinds.items())
    parts: list[RenderableType] = [overall(title, moment.tracker), Text(work, style="dim")]
    if moment.losses:
        table = table_of(("stage", "loss", "", "update"), loss_rows(moment.losses))
        if len(moment.losses) > _LINES:
            table.caption = f"and {len(moment.losses) - _LINES} more stages"
        parts += [Text(""), table]
    if moment.rates:
        metrics = list(dict.fromkeys(name for own in moment.rates.values() for name in own))
        rows = [
            (arm, *(rate_words(own.get(metric)) for metric in metrics),
             f"{sum(rates.unscored for rates in own.values()):,}")
            for arm, own in moment.rates.items()
        ]  # fmt: skip
        parts += [Text(""), table_of(("passes so far", *metrics, "unscored"), rows, "lr")]
    return Group(*parts)


def loss_rows(losses: Sequence[Loss]) -> Iterator[tuple[str, ...]]:
    """Stage, curve, last loss and update of the first `_LINES` stages."""
    for loss in losses[:_LINES]:
        step, value = loss.points[-1]
        said = f"{step}" + (f"/{loss.updates}" if loss.updates else "")
        if loss.silent_s > _QUIET_S:
            said += f", quiet for {loss.silent_s / 60:.0f} min"
        yield loss.node, sparkline([point[1] for point in loss.points]), f"{value:.3f}", said


def rate_words(rates: Rates | None) -> str:
    """The share of passes with how many are in it; empty before the first."""
    if rates is None or not rates.scored:
        return ""
    return f"{rates.passes / rates.scored:.1%} of {rates.scored:,}"


def as_data(moment: Watched) -> dict[str, object]:
    """The moment as JSON-able data; `seconds_left` is None where nothing tells yet."""
    left = moment.tracker.seconds_left()
    return {
        "complete": moment.tracker.settled,
        "share": round(moment.tracker.share, 4),
        "seconds_left": None if left is None else round(left, 1),
        "kinds": {k: {"total": t, "complete": d} for k, (t, d) in moment.kinds.items()},
        # The last point of each: whoever wants the curve reads log.jsonl.
        "losses": {
            loss.node: [step, value if math.isfinite(value) else None]
            for loss in moment.losses
            for step, value in loss.points[-1:]
        },
        "rates": {
            arm: {metric: asdict(rates) for metric, rates in own.items()}
            for arm, own in moment.rates.items()
        },
    }
