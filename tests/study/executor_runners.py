"""Runners that real worker processes import in the executor's tests.

Every runner notes each computation in the file `payload["notes"]` (one appended line, so that two
processes can share it) and writes `result.json` with what it saw of its inputs.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from whyfirst.config.errors import UserError
from whyfirst.config.files import atomic_write, read_json, write_json
from whyfirst.study.execute.graph import Node
from whyfirst.study.execute.store import Incomplete

Progress = Callable[[int, int, str], None]


def note(node: Node, text: str) -> None:
    descriptor = os.open(node.payload["notes"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, f"{node.id} {text}\n".encode())
    os.close(descriptor)


def run(node: Node, inputs: Mapping[str, Path], folder: Path, progress: Progress) -> None:
    """Add one to the sum of the inputs, in steps that a killed attempt's successor skips."""
    note(node, f"run pid={os.getpid()}")
    steps = node.payload.get("steps", 1)
    state = folder / "state.json"
    done = read_json(state)["done"] if state.exists() else 0
    for step in range(done, steps):
        time.sleep(node.payload.get("sleep", 0.0))
        write_json(state, {"done": step + 1})
        note(node, f"step {step + 1}")
        progress(step + 1, steps, "stepping")
    total = 1 + sum(read_json(path / "result.json")["total"] for path in inputs.values())
    write_json(folder / "sub" / "extra.json", {"steps": steps})
    if "weights" in node.payload:
        atomic_write(folder / "model" / "w.safetensors", b"w" * node.payload["weights"])
    write_json(folder / "result.json", {"total": total, "inputs": sorted(inputs)})


def misbehave(node: Node, inputs: Mapping[str, Path], folder: Path, progress: Progress) -> None:
    """Fail in the way `payload["how"]` names, else `run`."""
    how = node.payload.get("how")
    if how is not None:
        note(node, "run")
    if how == "user":
        raise UserError("data.jsonl: row 3: no prompt; add one")
    if how == "bug":
        print("about to fail")
        raise KeyError("surprise")
    if how == "exit":
        sys.exit(3)
    if how == "interrupt":
        raise KeyboardInterrupt("from a plug-in")
    if how == "quit":
        os._exit(0)
    if how == "segfault":
        ctypes.string_at(0)
    if how == "kill-always" or (how == "kill-once" and not (folder / "been").exists()):
        atomic_write(folder / "been", "here")
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "fill":
        with (folder / "big.bin").open("wb") as handle:
            while True:
                handle.write(b"x" * 65536)
    if how == "wrapped-fill":
        try:
            misbehave(_as(node, "fill"), inputs, folder, progress)
        except OSError as error:
            raise RuntimeError("could not serialise") from error
    run(node, inputs, folder, progress)


def _as(node: Node, how: str) -> Node:
    return Node(node.id, node.kind, node.fingerprint, payload={**node.payload, "how": how})


def with_child(node: Node, inputs: Mapping[str, Path], folder: Path, progress: Progress) -> None:
    """Start a child process, note its pid, then work on."""
    child = subprocess.Popen(["sleep", "300"])
    note(node, f"child pid={child.pid}")
    run(node, inputs, folder, progress)


def describe(node: Node, inputs: Mapping[str, Path], folder: Path, progress: Progress) -> None:
    """Write what the worker's environment looks like, and print on every channel."""
    print("printed by the runner")
    os.system("echo printed by a child")
    print("complained by the runner", file=sys.stderr)
    ballast = bytearray(node.payload.get("megabytes", 0) * 2**20)
    ballast[::4096] = b"x" * len(ballast[::4096])
    record = {
        "omp": os.environ.get("OMP_NUM_THREADS"),
        "stdin": sys.stdin.read(),
        "torch": "torch" in sys.modules,
        "pid": os.getpid(),
    }
    write_json(folder / "result.json", record)


def link(node: Node, inputs: Mapping[str, Path], folder: Path, progress: Progress) -> None:
    """Write a symbolic link, which a result may not hold."""
    (folder / "link").symlink_to("/etc/hostname")


def ask(
    node: Node, inputs: Mapping[str, Path], folder: Path, progress: Progress
) -> Incomplete | None:
    """Ask three things of a server that is up where `payload["up"]` is a file; keep the answers."""
    answers = folder / "answers.json"
    known = read_json(answers) if answers.exists() else {}
    for item in ("one", "two", "three"):
        if item not in known and (item == "one" or Path(node.payload["up"]).exists()):
            note(node, f"asked {item}")
            known[item] = item.upper()
    write_json(answers, known)
    left = 3 - len(known)
    return Incomplete(left, 3, "503 from the server") if left else None
