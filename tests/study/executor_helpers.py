"""Small graphs, notes and subprocesses that the executor's tests share."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from resource import RLIMIT_FSIZE, setrlimit
from typing import Any

from whyfirst.study.execute.graph import Node, make_fingerprint

HERE = Path(__file__).parent
MAIN = """
import json, sys
from pathlib import Path
from whyfirst.study.execute.executor import run_graph
from whyfirst.study.execute.graph import Node
from whyfirst.study.execute.store import Store
if __name__ == "__main__":
    job = json.loads(Path(sys.argv[1]).read_text())
    outcome = run_graph(
        [Node.from_json(node) for node in job["nodes"]],
        Store(Path(job["store"])),
        workers=job["workers"],
        runner=job["runner"],
        on_event=lambda event: print(event.kind, event.node_id, flush=True),
    )
    print(json.dumps({"computed": outcome.computed, "reused": outcome.reused,
                      "failed": outcome.failed}))
"""


def make_node(name: str, notes: Path, depends: Sequence[Node] = (), **payload: Any) -> Node:
    inputs = {node.id: node.fingerprint for node in depends}
    fingerprint = make_fingerprint("step", "1", {"name": name}, inputs, {})
    full = {"notes": str(notes), **payload}
    return Node(name, "step", fingerprint, tuple(inputs), full, payload.get("weight", 1.0))


def diamond(notes: Path, **payload: Any) -> list[Node]:
    base = make_node("base", notes, **payload)
    left = make_node("left", notes, [base], **payload)
    right = make_node("right", notes, [base], **payload)
    return [base, left, right, make_node("top", notes, [left, right], **payload)]


def wide(notes: Path, count: int, **payload: Any) -> list[Node]:
    leaves = [make_node(f"leaf{index}", notes, **payload) for index in range(count)]
    return [*leaves, make_node("top", notes, leaves, **payload)]


def noted(notes: Path, what: str) -> list[str]:
    """Ids of the nodes that noted something starting with `what`, in order."""
    if not notes.exists():
        return []
    pairs = [line.split(" ", 1) for line in notes.read_text().splitlines()]
    return [name for name, text in pairs if text.startswith(what)]


def noted_pids(notes: Path, what: str) -> list[int]:
    if not notes.exists():
        return []
    return [
        int(line.rpartition("pid=")[2])
        for line in notes.read_text().splitlines()
        if f" {what} pid=" in line
    ]


def wait_until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie that nobody has reaped yet doesn't."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def start_run(
    tmp_path: Path,
    nodes: Sequence[Node],
    store: Path,
    workers: int = 1,
    runner: str = "run",
    file_limit: int | None = None,
    within: Sequence[str] = (),
) -> "subprocess.Popen[str]":
    """Run the graph in a process of its own; its last line of output is the outcome.

    Args:
        file_limit: the most bytes it and its workers may write to one file.
        within: the beginning of the command line, as `unshare ...`.
    """
    job = tmp_path / f"job-{time.monotonic_ns()}.json"
    job.write_text(
        json.dumps(
            {
                "nodes": [node.to_json() for node in nodes],
                "store": str(store),
                "workers": workers,
                "runner": f"executor_runners:{runner}",
            }
        )
    )
    return subprocess.Popen(
        [*within, sys.executable, "-c", MAIN, str(job)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(HERE), *sys.path))},
        start_new_session=True,
        preexec_fn=file_limit and (lambda: setrlimit(RLIMIT_FSIZE, (file_limit, file_limit))),
    )


def outcome_of(process: "subprocess.Popen[str]") -> dict[str, Any]:
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    outcome: dict[str, Any] = json.loads(output.splitlines()[-1])
    return outcome


def remount(folder: Path, options: str) -> None:
    """Change a mounted file system: `ro`, `size=8m`."""
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


def result_bytes(store_root: Path) -> dict[str, bytes]:
    """Every result's files without the marker (which holds timings)."""
    return {
        str(path.relative_to(store_root)): path.read_bytes()
        for path in sorted((store_root / "step").rglob("*"))
        if path.is_file() and path.name != "COMPLETE.json"
    }
