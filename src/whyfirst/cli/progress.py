"""Progress on standard error: a live view in a terminal, a line every tenth elsewhere.

Leaves out: the estimate of time left (`tracker`) and results.
"""

import contextlib
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from whyfirst.cli.output import messages, warn
from whyfirst.config.text import duration, safe_text
from whyfirst.study.execute.executor import Event
from whyfirst.study.execute.time_left import Running, Tracker

_REFRESHES_PER_S = 4
_BAR_WIDTH = 30
_NOT_RUN = "not run:"  # how the executor begins the reason of a node behind a failed one

Step = Callable[[int, int, str], None]


def in_terminal() -> bool:
    """Whether standard error is a terminal that can redraw lines."""
    return sys.stderr.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")


@contextlib.contextmanager
def study_progress(
    title: str, load_tracker: Callable[[], Tracker]
) -> Iterator[Callable[[Event], None]]:
    """Show a study's progress while the context lasts; gives the `on_event` for the executor.

    Args:
        load_tracker: the graph and what is known of it; asked for at the first event, so that a
            finished study, which has none, costs nothing.
    """
    view = StudyView(title, load_tracker)
    if not in_terminal():
        yield LineView(view, messages()).take
        return
    # `messages()` at 80 columns or the terminal's width; what is printed meanwhile goes above.
    console = messages()
    # Transient: when it ends, what stays on the screen is the result and not the bars.
    live = Live(view, console=console, refresh_per_second=_REFRESHES_PER_S, transient=True)

    def take(event: Event) -> None:
        view.take(event)
        if is_first_failure(event):
            console.print(failure_line(event), soft_wrap=True)

    with live:
        yield take


def is_first_failure(event: Event) -> bool:
    """Whether a node failed by itself and not for want of another, or isn't what it should be."""
    fails = event.kind == "failed" and not event.message.startswith(_NOT_RUN)
    return fails or event.kind in ("incomplete", "damaged")


def failure_line(event: Event) -> Text:
    """A node that failed, is incomplete or was damaged, in one message; the others go on."""
    # As text and with its controls shown: a message may quote a model's answer.
    line = Text(f"{event.kind}: ", style="bold red")
    return line.append(safe_text(f"{event.node_id}: {event.message}"), style="default")


class StudyView:
    """A study as a renderable: one bar for all, a line for each running node."""

    def __init__(self, title: str, load_tracker: Callable[[], Tracker]) -> None:
        self.title = title
        self.tracker: Tracker | None = None
        self._load_tracker = load_tracker
        self._lock = threading.Lock()  # the live display draws in a thread of its own

    def take(self, event: Event) -> None:
        """Account for one event."""
        with self._lock:
            # Reading the plan takes a second, which a finished study shouldn't wait for.
            if self.tracker is None:
                self.tracker = self._load_tracker()
            self.tracker.take(event)

    def __rich__(self) -> RenderableType:
        """What to draw now."""
        with self._lock:
            if self.tracker is None:
                return Text(f"{safe_text(self.title)}: reading the study", style="dim")
            return Group(overall(self.title, self.tracker), running_nodes(self.tracker.running))


class LineView:
    """A study in a log: a line at every tenth and for every failure, without control codes."""

    def __init__(self, view: StudyView, console: Console) -> None:
        self._view = view
        self._console = console
        self._tenths = 0

    def take(self, event: Event) -> None:
        """Account for one event and print what it calls for."""
        self._view.take(event)
        tracker = self._view.tracker
        assert tracker is not None
        if is_first_failure(event):
            self._console.print(failure_line(event), soft_wrap=True)
            return
        tenths = 10 if tracker.settled else min(9, int(tracker.share * 10 + 1e-9))
        # Reused results come first and all at once; the next line counts them.
        if event.kind == "reused" or tenths <= self._tenths:
            return
        self._tenths = tenths
        line = f"{self._view.title}: {tenths * 10} %, {counts(tracker)}{left(tracker)}"
        self._console.print(Text(safe_text(line)), soft_wrap=True)


def counts(tracker: Tracker) -> str:
    """How many nodes are done, reused and failed."""
    parts = [f"{len(tracker.done)} of {tracker.total} done"]
    if tracker.reused:
        parts.append(f"{tracker.reused} of them from the store")
    if tracker.failed:
        parts.append(f"{len(tracker.failed)} failed or not run")
    return ", ".join(parts)


def left(tracker: Tracker) -> str:
    """Time left in words, or nothing once all is settled."""
    seconds = tracker.seconds_left()
    if tracker.settled:
        return ""
    return ", time left not known yet" if seconds is None else f", about {duration(seconds)} left"


def overall(title: str, tracker: Tracker) -> RenderableType:
    """One bar for all: share, counts and time left."""
    row = Table.grid(padding=(0, 1))
    row.add_column(no_wrap=True)
    row.add_column(width=_BAR_WIDTH)
    row.add_column(justify="right", no_wrap=True)
    row.add_column(overflow="ellipsis", no_wrap=True)
    row.add_row(
        Text(safe_text(title), style="bold"),
        ProgressBar(total=1.0, completed=tracker.share),
        Text(f"{tracker.share:.0%}"),
        Text(counts(tracker) + left(tracker)),
    )
    return row


def running_nodes(running: dict[str, Running]) -> RenderableType:
    """A line each, this process's first, then those that another process computes."""
    rows = Table.grid(padding=(0, 1))
    rows.add_column(overflow="ellipsis", no_wrap=True, max_width=48)
    rows.add_column(width=_BAR_WIDTH // 2)
    rows.add_column(justify="right", no_wrap=True)
    rows.add_column(overflow="ellipsis", no_wrap=True)
    # Python's sort keeps the order within, which is that of starting.
    for name, run in sorted(running.items(), key=lambda item: item[1].waiting):
        steps = f"{run.step}/{run.total}" if run.total > 0 else ""
        bar = ProgressBar(total=1.0, completed=run.share) if steps else Text("")
        message = " ".join(safe_text(run.message).split())
        style = "dim" if run.waiting else ""
        rows.add_row(Text(f"  {safe_text(name)}", style=style), bar, steps, Text(message, "dim"))
    return rows


class _Message(ProgressColumn):
    """The task's own words, as plain text."""

    def render(self, task: Task) -> Text:
        return Text(" ".join(safe_text(str(task.fields.get("message", ""))).split()), style="dim")


@contextlib.contextmanager
def steps(title: str) -> Iterator[Step]:
    """Progress of one piece of work by (step, total, message); silent outside a terminal."""
    if not in_terminal():
        yield lambda step, total, message: None
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=_BAR_WIDTH),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        _Message(),
    )
    with Progress(*columns, console=messages(), transient=True) as progress:
        task = progress.add_task(safe_text(title), total=None, message="")
        yield lambda step, total, message: progress.update(
            task, completed=step, total=total or None, message=message
        )


_SAID_EVERY_S = 10.0  # between two lines where nothing can be redrawn


class Writing:
    """What is written so far: rows kept and tokens, said as they come."""

    def __init__(self, title: str, show: Callable[[int, int, str], None], every_s: float) -> None:
        self.title, self.tokens, self.kept, self.wanted = title, 0, 0, 0
        self._show, self._every_s = show, every_s
        self._begun = self._said = time.monotonic()

    def rows(self, kept: int, wanted: int, more: str = "") -> None:
        """Account for a batch; `more` is said beside it."""
        self.kept, self.wanted = kept, wanted
        self._tell(more)

    def read(self, count: int) -> None:
        """Account for tokens that a model has just written."""
        self.tokens += count
        if time.monotonic() - self._said >= self._every_s:
            self._tell("")

    def _tell(self, more: str) -> None:
        self._said = time.monotonic()
        # Over the whole time, waiting included: it is what the rest will take.
        pace = self.tokens / max(1e-3, self._said - self._begun)
        told = f"{self.tokens:,} tokens written, {pace:.0f} a second" if self.tokens else ""
        self._show(self.kept, self.wanted, "; ".join(filter(None, (told, more.strip("; ")))))


@contextlib.contextmanager
def writing(title: str, wanted: int, models: Sequence[object], quiet: bool) -> Iterator[Writing]:
    """Progress of models that write rows: a bar in a terminal, elsewhere a line every ten seconds.

    Args:
        models: whose tokens are counted as they are written; only local ones show theirs.
        quiet: say nothing (``--json``).
    """
    with contextlib.ExitStack() as stack:
        if quiet:
            told = Writing(title, lambda kept, wanted, message: None, math.inf)
        elif in_terminal():
            step = stack.enter_context(steps(title))
            told = Writing(title, step, 0.25)
        else:
            told = Writing(title, lambda kept, wanted, message: warn(
                f"{title}: kept {kept} of {wanted}" + (f"; {message}" if message else "")
            ), _SAID_EVERY_S)  # fmt: skip
        told.wanted = wanted
        # Teacher and judge may be one model: its tokens count once.
        for module in {id(m): m for m in (getattr(one, "model", None) for one in models)}.values():
            register = getattr(module, "register_forward_hook", None)
            if register is not None:
                # One token a line and forward pass, but for the passes that read prompts.
                # Counted at the model and not at the decoder: whoever drives it, a pass is a token
                # a row.
                hook = register(lambda _module, _given, out: told.read(out.logits.shape[0]))
                stack.callback(hook.remove)
        told.rows(0, wanted)
        yield told
