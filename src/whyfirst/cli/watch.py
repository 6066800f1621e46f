"""`whyfirst watch RUN`: a running study, live: stages, time left, losses, verdicts as they come.

Reads the store only, so that it can be started and stopped at any time, beside a run in another
terminal or of another machine on the same disk. Verdict rates are of the evaluations finished so
far, without intervals: they move until the last one is in. Leaves out: running anything.
"""

import itertools
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whyfirst.cli.output import command, print_json, standard
from whyfirst.config.errors import DataError, UserError
from whyfirst.config.text import safe_text

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
        typer.Argument(
            metavar="RUN", help="A run's folder or its name in ./runs, or a study's file or name."
        ),
    ],
    store: Annotated[
        Path | None,
        typer.Option("--store", help="Where it computes (default: $WHYFIRST_STORE or ./store)."),
    ] = None,
    model: Annotated[str | None, typer.Option("--model", help="As given to `study run`.")] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="As given to `study run`.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="As given to `study run`.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object of this moment and end.")
    ] = False,
) -> None:
    """Show a running study live; outside a terminal, print it once."""
    from whyfirst.cli.reporting import run_folder
    from whyfirst.study.execute.executor import default_workers
    from whyfirst.study.execute.store import Store
    from whyfirst.study.overrides import Overrides
    from whyfirst.study.plan import build_plan
    from whyfirst.study.run import default_store
    from whyfirst.study.running import RunPlace, noted_run

    plain = (store, model, limit) == (None, None, None)  # else it need not be the run of that name
    folder = run_folder(Path(run)) if plain else Path(run)
    if _is_over(folder):
        _finished(folder, as_json)
        return
    noted = noted_run(folder)
    if noted is None:
        noted = RunPlace(_study_file(run), default_store(), Overrides(model, limit))
    plan, place = build_plan(noted.file, noted.overrides), Store(store or noted.store)
    looker = Looker(plan, place, workers or default_workers())
    if as_json:
        print_json(as_data(looker.look()))
        return
    console = standard()
    if not console.is_terminal:
        console.print(render(plan.study.title, looker.look()))
        return
    from rich.live import Live

    with Live(console=console, refresh_per_second=2) as live:
        while True:
            found = looker.look()
            live.update(render(plan.study.title, found))
            if found.tracker.settled:
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


def _study_file(given: str) -> Path:
    from whyfirst.study.shipped import study_file

    if Path(given).is_dir():
        raise UserError(
            f"{given}: neither results nor a run.json there, so no run of a study; to watch a "
            "study that runs, name its folder or its file"
        )
    return study_file(given)


def _finished(run: Path, as_json: bool) -> None:
    """A finished run has nothing to watch: its answer is shown."""
    from whyfirst.report.schema import load_results
    from whyfirst.report.terminal import print_headline

    results = load_results(run / "report" / "results.json")
    if as_json:
        print_json({"study": results.study.name, "complete": True})
        return
    standard().print(print_headline(results))


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

        found = Watched(self._tracker())
        now = time.time()
        for node in self._plan.nodes:
            total, done = found.kinds.get(node.kind, (0, 0))
            complete = self._complete(node.id)
            found.kinds[node.kind] = (total + 1, done + complete)
            if complete:
                event = Event("finished", node.id, seconds=self._done[node.id])
                found.tracker.take(event)
            elif (folder := self._store.folder(*node.key)).is_dir():
                loss = read_loss(node.id, folder, _updates(node.payload), now)
                step = loss.points[-1][0] if loss.points else 0
                found.tracker.take(
                    Event("progress", node.id, step, loss.updates or 0, "", loss.begun_s)
                )
                if loss.points:
                    found.losses.append(loss)
        self._rates(found)
        return found

    def _complete(self, name: str) -> bool:
        if name not in self._done:
            node = self._plan.by_id[name]
            marker = self._store.marker(*node.key)
            if marker is None:
                return False
            self._done[name] = float(marker.get("run", {}).get("seconds", 0.0))
        return True

    def _rates(self, found: Watched) -> None:
        for use in self._plan.evaluations:
            if use.step is not None or use.node not in self._done:
                continue
            for metric, own in self._count(use.node).items():
                rates = found.rates.setdefault(use.arm, {}).setdefault(metric, Rates())
                rates.passes += own.passes
                rates.scored += own.scored
                rates.unscored += own.unscored

    def _count(self, name: str) -> Mapping[str, Rates]:
        from whyfirst.config.files import read_jsonl

        if name not in self._counted:
            counts: dict[str, Rates] = {}
            folder = self._store.folder(*self._plan.by_id[name].key)
            for row in read_jsonl(folder / "items.jsonl"):
                own = counts.setdefault(str(row["benchmark"]), Rates())
                own.passes += row["verdict"] == "pass"
                own.scored += row["verdict"] != "unscored"
                own.unscored += row["verdict"] == "unscored"
            self._counted[name] = counts
        return self._counted[name]


def _updates(payload: Mapping[str, object]) -> int | None:
    train = payload.get("train")
    updates = train.get("updates") if isinstance(train, dict) else None
    return updates if isinstance(updates, int) else None


def read_loss(name: str, folder: Path, updates: int | None, now: float) -> Loss:
    """A node's losses so far; none where it logs nothing. `now` is a time.time()."""
    from whyfirst.config.files import read_jsonl

    path = folder / "log.jsonl"
    try:
        rows = read_jsonl(path, allow_torn_tail=True) if path.is_file() else []
        ages = [max(0.0, now - one.stat().st_mtime) for one in folder.iterdir()]
    except (DataError, OSError):  # being written, or moved away, at this moment
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
    cuts = [round(place * len(values) / count) for place in range(count + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in itertools.pairwise(cuts)]
    low, span = min(means), (max(means) - min(means)) or 1.0
    return "".join(_BARS[min(7, int((value - low) / span * 8))] for value in means)


def render(title: str, found: Watched) -> "RenderableType":
    """The moment as a renderable: progress, kinds of work, losses, verdict rates."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    from whyfirst.cli.progress import counts, left

    head = Table.grid(padding=(0, 1))
    head.add_row(Text(safe_text(title), style="bold"),
                 ProgressBar(total=1.0, completed=found.tracker.share, width=30),
                 Text(f"{found.tracker.share:.0%}"))  # fmt: skip
    work = ", ".join(f"{kind} {done}/{total}" for kind, (total, done) in found.kinds.items())
    parts: list[RenderableType] = [
        head,
        Text(counts(found.tracker) + left(found.tracker)),
        Text(work, style="dim"),
    ]
    if found.losses:
        parts += [Text(""), _losses(found.losses)]
    if found.rates:
        parts += [Text(""), _verdicts(found)]
    return Group(*parts)


def _losses(losses: Sequence[Loss]) -> "RenderableType":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("stage", "loss", "", "update"):
        table.add_column(name, no_wrap=True, overflow="ellipsis")
    for loss in losses[:_LINES]:
        step = f"{loss.points[-1][0]}" + (f"/{loss.updates}" if loss.updates else "")
        if loss.silent_s > _QUIET_S:
            step += f", quiet for {loss.silent_s / 60:.0f} min"
        table.add_row(Text(safe_text(loss.node)), Text(sparkline([p[1] for p in loss.points])),
                      Text(f"{loss.points[-1][1]:.3f}"), Text(step))  # fmt: skip
    if len(losses) > _LINES:
        table.caption = f"and {len(losses) - _LINES} more stages"
    return table


def _verdicts(found: Watched) -> "RenderableType":
    from rich.table import Table
    from rich.text import Text

    metrics = list(dict.fromkeys(name for own in found.rates.values() for name in own))
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("passes so far", no_wrap=True)
    for metric in metrics:
        table.add_column(Text(safe_text(metric)), justify="right")
    table.add_column("unscored", justify="right")
    for arm, own in found.rates.items():
        cells = [rate_words(own.get(metric)) for metric in metrics]
        unscored = sum(one.unscored for one in own.values())
        table.add_row(Text(safe_text(arm)), *map(Text, cells), Text(f"{unscored:,}"))
    return table


def rate_words(one: Rates | None) -> str:
    """The share of passes with how many are in it; empty before the first."""
    if one is None or not one.scored:
        return ""
    return f"{one.passes / one.scored:.1%} of {one.scored:,}"


def as_data(found: Watched) -> dict[str, object]:
    """The moment as JSON-able data; `seconds_left` is None where nothing tells yet."""
    left = found.tracker.seconds_left()
    return {
        "complete": found.tracker.settled,
        "share": round(found.tracker.share, 4),
        "seconds_left": None if left is None else round(left, 1),
        "kinds": {k: {"total": t, "complete": d} for k, (t, d) in found.kinds.items()},
        "losses": {
            loss.node: [step, value if math.isfinite(value) else None]
            for loss in found.losses
            for step, value in loss.points[-1:]
        },
        "rates": {
            arm: {m: {"passes": r.passes, "scored": r.scored, "unscored": r.unscored}
                  for m, r in own.items()}
            for arm, own in found.rates.items()
        },
    }  # fmt: skip
