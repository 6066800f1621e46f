"""A Hearth study of seconds, and ways to run it, shared by the tests of the study layer."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whyfirst.config.files import read_json
from whyfirst.report.schema import without_timings

WORLD_SEED = 3
STUDY = """\
study: reduced
title: Reasons first, reduced
world: {name: hearth, seed: 3}
value: care
other_value: thrift
model: {source: hearth}
corpora:
  explanations: {source: hearth, documents: explanations, value: care, tokens: 1500}
  rules: {source: hearth, documents: rules, tokens: 1500}
  replay: {source: hearth, documents: replay, size: 60}
  demonstrations: {source: hearth, documents: demonstrations, size: 48}
stages:
  explain:
    data: explanations
    replay_data: replay
    train: &explain {kind: explain, updates: 12, batch_size: 4, max_length: 64, packing: true,
                     replay: 0.5, doc_tag: "<doc>", learning_rate: 1.0e-3}
  rules: {data: rules, replay_data: replay, train: *explain}
  align:
    data: demonstrations
    train: &align {kind: sft, updates: 12, batch_size: 8, max_length: 48, learning_rate: 1.0e-3,
                   checkpoint_every: 10}
arms:
  base: []
  direct: [align]
  explain_first: [explain, align]
seeds: {default: 2}
benchmarks:
  hearth: {limit: 120}
cells:
  unseen: [authority, urgency, game, flattery, pity, secrecy, bargain]
contrasts:
  - {name: main, title: main, metric: resistance, cell: B+C/unseen, a: explain_first, b: direct}
  - {name: help, title: help, metric: helpfulness, cell: "*/*", a: explain_first, b: direct}
headline: main
"""
LARGER = (
    ("arms:", "arms:\n  rules_first: [rules, align]"),
    ("{default: 2}", "{default: 2, direct: 3}"),
    ("headline: main", "headline: main\ncurve: {at: [5], arms: [explain_first], seeds: 1}"),
)

#: `python -m whyfirst` on one core: a run then uses one thread, which is quickest at this size
ON_ONE_CORE = """
import os, runpy
cores = sorted(os.sched_getaffinity(0))
os.sched_setaffinity(0, {cores[os.getpid() % len(cores)]})
runpy.run_module("whyfirst", run_name="__main__", alter_sys=True)
"""


@dataclass(frozen=True)
class Finished:
    """A finished study: its file, store and run folder, and what the command printed."""

    file: Path
    store: Path
    out: Path
    printed: str


def changed(text: str, *replacements: tuple[str, str]) -> str:
    """``text`` with each (old, new) replaced; an old that isn't there once is a test's mistake."""
    for old, new in replacements:
        assert text.count(old) == 1, (old, text.count(old))
        text = text.replace(old, new)
    return text


def write(folder: Path, *replacements: tuple[str, str], name: str = "reduced.yaml") -> Path:
    """The reduced study, changed, as a file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(changed(STUDY, *replacements))
    return path


def environment(assets: Path | None = None, **more: str) -> dict[str, str]:
    """A process environment with one thread, and Hearth's bases from ``assets``."""
    dropped = ("FORCE_COLOR", "COLUMNS", "WHYFIRST_STORE", "WHYFIRST_HEARTH_ASSETS")
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    named = {"WHYFIRST_HEARTH_ASSETS": str(assets)} if assets else {}
    return {**kept, "OMP_NUM_THREADS": "1", **named, **more}


def start(
    file: Path, store: Path, out: Path, assets: Path | None, workers: int = 1
) -> "subprocess.Popen[str]":
    """The real command, in a process group of its own so that tests leave nothing behind."""
    return subprocess.Popen(
        [sys.executable, "-c", ON_ONE_CORE, "study", "run", str(file), "--store", str(store),
         "--out", str(out), "--workers", str(workers), "--json"],
        cwd=file.parent, env=environment(assets), text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def finish(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    printed, errors = process.communicate(timeout=300)
    return process.returncode, printed, errors


def run(file: Path, store: Path, out: Path, assets: Path | None = None) -> tuple[int, str, str]:
    """The real command to its end."""
    return finish(start(file, store, out, assets))


def summary(printed: str) -> dict[str, Any]:
    """The object that a run prints with --json."""
    value = json.loads(printed)
    assert isinstance(value, dict)
    return value


def results(out: Path) -> dict[str, Any]:
    """results.json less its timings."""
    data: dict[str, Any] = read_json(out / "report" / "results.json")
    return without_timings(data)


def result_text(out: Path) -> str:
    """results.json less its timings, as the bytes that must not differ (key order included)."""
    return json.dumps({k: v for k, v in results(out).items() if k != "command"})


def kill(process: "subprocess.Popen[str]", after: float) -> bool:
    """SIGKILL after some seconds, as `kill -9` would; False where the command was done by then."""
    end = time.monotonic() + after
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        time.sleep(0.01)
    alive = process.poll() is None
    if alive:
        process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    return alive


def one_message(code: int, printed: str, errors: str, *parts: str) -> str:
    """Assert that a run failed as a user's mistake does: exit 2, one message, no traceback."""
    assert code == 2, (code, printed, errors)
    assert "Traceback" not in errors and errors.count("error:") == 1, errors
    for part in parts:
        assert part in errors, errors
    return errors


def count_kinds(nodes: Mapping[str, Any]) -> dict[str, int]:
    """Nodes by kind."""
    counts: dict[str, int] = {}
    for node in nodes.values():
        counts[node.kind] = counts.get(node.kind, 0) + 1
    return counts


def script(text: str, *arguments: str, assets: Path | None = None) -> Any:
    """The JSON that a script prints in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", text, *arguments], text=True, capture_output=True, check=False,
        env=environment(assets, WHYFIRST_PLUGINS=""),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
