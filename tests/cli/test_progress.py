"""Progress as it is drawn, fed by real runs of the executor."""

import os
import pty
import select
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from cli_helpers import environment
from rich.console import Console

from whyfirst.cli.progress import LineView, StudyView
from whyfirst.study.execute.executor import Event, run_graph
from whyfirst.study.execute.graph import Node, make_fingerprint
from whyfirst.study.execute.store import Store
from whyfirst.study.execute.time_left import Tracker

RUNNERS = Path(__file__).parent.parent / "study"
RUNNER = "executor_runners"


def leaf(name: str, notes: Path, depends: tuple[str, ...] = (), **payload: object) -> Node:
    fingerprint = make_fingerprint("step", "1", {"name": name}, {}, {})
    return Node(name, "step", fingerprint, depends, {"notes": str(notes), **payload})


def drawn(view: StudyView, width: int = 120) -> str:
    console = Console(file=StringIO(), width=width, force_terminal=True, color_system=None)
    console.print(view)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def run(nodes: list[Node], tmp_path: Path, take: object, runner: str = "run") -> None:
    store = Store(tmp_path / "store")
    run_graph(nodes, store, workers=1, runner=f"{RUNNER}:{runner}", on_event=take)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def runners_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers get the parent's search path."""
    monkeypatch.syspath_prepend(str(RUNNERS))


def test_a_run_is_drawn_from_its_first_step_to_its_last(tmp_path: Path) -> None:
    """The view missed running nodes or did not end at the whole."""
    notes = tmp_path / "notes"
    nodes = [leaf("a", notes, steps=3, sleep=0.15), leaf("b", notes, ("a",))]
    view = StudyView("tiny", lambda: Tracker(nodes, 1))
    frames = [drawn(view)]

    def take(event: Event) -> None:
        view.take(event)
        frames.append(drawn(view))

    run(nodes, tmp_path, take)
    assert "reading the study" in frames[0]
    assert any("1/3" in frame and "stepping" in frame for frame in frames)
    assert any("1 of 2 done, about " in frame for frame in frames)
    assert "100%" in frames[-1]
    assert "2 of 2 done" in frames[-1]
    assert "left" not in frames[-1]


def test_a_log_gets_at_most_a_line_a_tenth_and_no_control_codes(tmp_path: Path) -> None:
    """A log file filled with one line for each step, or with colour codes."""
    notes = tmp_path / "notes"
    nodes = [leaf(f"n{index:02}", notes, steps=3) for index in range(25)]
    stream = StringIO()
    view = LineView(StudyView("tiny", lambda: Tracker(nodes, 1)), Console(file=stream, width=160))
    run(nodes, tmp_path, view.take)
    lines = stream.getvalue().splitlines()
    assert lines[-1] == "tiny: 100 %, 25 of 25 done"
    assert len(lines) <= 10
    assert "\x1b" not in stream.getvalue()


def test_a_failure_is_told_when_it_happens_and_once(tmp_path: Path) -> None:
    """A failed node was only named at the end, hours later, or once for each node behind it."""
    notes = tmp_path / "notes"
    nodes = [leaf("a", notes, how="user"), leaf("b", notes, ("a",)), leaf("c", notes, ("b",))]
    stream = StringIO()
    view = LineView(StudyView("tiny", lambda: Tracker(nodes, 1)), Console(file=stream, width=160))
    run(nodes, tmp_path, view.take, "misbehave")
    assert stream.getvalue().count("failed: ") == 1
    assert "failed: a: data.jsonl: row 3: no prompt; add one" in stream.getvalue()


def test_a_hostile_message_is_drawn_as_text(tmp_path: Path) -> None:
    """A node's message with escapes or rich markup changed the terminal."""
    nodes = [leaf("[red]a[/red]", tmp_path / "notes")]
    view = StudyView("[bold]x", lambda: Tracker(nodes, 1))
    view.take(Event("started", "[red]a[/red]"))
    view.take(Event("progress", "[red]a[/red]", 1, 2, "[link=x]hi\x1b[2Jthere\r\nover \u202e", 1.0))
    text = drawn(view)
    assert "[bold]x" in text
    assert "[red]a[/red]" in text
    assert "[link=x]hi\\x1b[2Jthere\\x0d over \\u202e" in text
    assert "\x1b" not in text


@pytest.mark.parametrize("width", [20, 40, 80])
def test_a_narrow_terminal_gets_one_line_a_node(width: int, tmp_path: Path) -> None:
    """Long names wrapped, and the live view scrolled the terminal away."""
    nodes = [leaf("seed0/explain_first_with_a_long_name>align" * 3, tmp_path / "notes")]
    view = StudyView("a-study-with-a-long-name", lambda: Tracker(nodes, 1))
    view.take(Event("started", nodes[0].id))
    view.take(Event("progress", nodes[0].id, 5, 10, "a long message " * 20, 1.0))
    lines = drawn(view, width).splitlines()
    assert len(lines) == 2
    assert all(len(line) <= width for line in lines)


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {runners!r})
from whyfirst.cli.progress import study_progress
from whyfirst.study.execute.time_left import Tracker
from whyfirst.study.execute.executor import run_graph
from whyfirst.study.execute.graph import Node
from whyfirst.study.execute.store import Store
nodes = [Node(f"n{{i}}", "step", f"{{i:024x}}", (), {{"notes": "notes", "steps": 4, "sleep": 0.1}})
         for i in range(4)]
with study_progress("tiny", lambda: Tracker(nodes, 2)) as take:
    run_graph(nodes, Store(Path("store")), workers=2, runner="executor_runners:run", on_event=take)
print("the result")
"""


def test_in_a_terminal_the_view_is_live_on_standard_error_only(tmp_path: Path) -> None:
    """Progress was drawn into standard output, where the result goes."""
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(runners=str(RUNNERS))],
        cwd=tmp_path, env=environment(TERM="xterm-256color", COLUMNS="100"),
        stdout=subprocess.PIPE, stderr=terminal, text=True,
    )  # fmt: skip
    os.close(terminal)
    shown = b""
    while select.select([controller], [], [], 30)[0]:
        try:
            chunk = os.read(controller, 65536)
        except OSError:  # the other side is closed
            break
        if not chunk:
            break
        shown += chunk
    assert process.stdout is not None
    printed = process.stdout.read()
    assert process.wait(30) == 0
    assert printed == "the result\n"
    assert b"/4" in shown and b"stepping" in shown
    assert b"of 4 done" in shown
    assert shown.rstrip().endswith(b"\x1b[2K") or b"\x1b[?25h" in shown[-200:]  # cursor is back
