"""Two hosts on one folder: namespaces give a command another host name, network and processes.

The file system is this kernel's, so its locks hold between them, as they do on a network file
system whose server keeps the locks. One that keeps them on each machine alone can't be made here.
"""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from executor_helpers import make_node, noted, outcome_of, start_run, wait_until, wide
from store_checks import verify

from whyfirst.study.execute.store import Store

# A shell of its own sets the name; nothing of this host's processes or network is seen inside.
OTHER = ("unshare", "--uts", "--net", "--pid", "--fork", "--mount-proc", "--kill-child",
         "sh", "-c", 'hostname other-host && exec "$0" "$@"')  # fmt: skip


@pytest.fixture(autouse=True)
def _namespaces() -> None:
    if shutil.which("unshare") is None or subprocess.run([*OTHER, "true"], check=False).returncode:
        pytest.skip("namespaces are not permitted here")


def test_two_hosts_compute_everything_once(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    nodes = wide(notes, 5, steps=2, sleep=0.05)
    runs = [start_run(tmp_path, nodes, tmp_path / "s", within=w) for w in ((), OTHER)]
    outcomes = [outcome_of(run) for run in runs]
    assert sorted(noted(notes, "run")) == sorted(node.id for node in nodes)
    assert sorted(outcomes[0]["computed"] + outcomes[1]["computed"]) == sorted(noted(notes, "run"))
    assert all(verify(Store(tmp_path / "s"), *node.key) == [] for node in nodes)


def test_host_that_vanishes_is_gone_on_for_by_the_other(tmp_path: Path) -> None:
    """Its name stays in the lock, and nothing here can tell whether a process there lives."""
    notes = tmp_path / "notes"
    node = make_node("slow", notes, steps=8, sleep=0.25)
    there = start_run(tmp_path, [node], tmp_path / "s", within=OTHER)
    wait_until(lambda: noted(notes, "step"))
    (lock,) = (tmp_path / "s" / "locks").glob("*.step.lock")
    assert "other-host" in lock.read_text()
    here = start_run(tmp_path, [node], tmp_path / "s")
    assert here.stdout is not None and here.stdout.readline() == "waiting slow\n"
    os.killpg(there.pid, signal.SIGKILL)
    there.communicate()
    assert outcome_of(here)["computed"] == ["slow"]
    assert len(noted(notes, "run")) == 2 and len(noted(notes, "step")) <= 9
