"""A study on a real Ray cluster of several machines: the same results as on this machine alone."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import layer_helpers as layer
import pytest
from layer_helpers import Finished
from store_checks import artifacts, verify

from whyfirst.study.execute.store import Store


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head that computes nothing, and two machines of one core."""
    pytest.importorskip("ray", reason="ray is not installed")
    from ray.cluster_utils import Cluster

    small = {"object_store_memory": 80 * 2**20}
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **small})
    made.machines = [made.add_node(num_cpus=1, **small) for _ in range(2)]
    made.wait_for_nodes()
    yield made
    made.shutdown()


def start(
    address: str, file: Path, store: Path, out: Path, assets: Path
) -> "subprocess.Popen[str]":
    """The real command on a cluster."""
    options = ["--store", store, "--out", out, "--executor", "ray", "--address", address, "--json"]
    command = [sys.executable, "-m", "whyfirst", "study", "run", file, *options]
    return subprocess.Popen(
        [str(part) for part in command],
        cwd=file.parent, env=layer.environment(assets), text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def workers_of(store: Path) -> list[int]:
    """Processes of the cluster that hold a lock of the store."""
    found = []
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            target = str(link.readlink())
        except OSError:
            continue
        if target.startswith(str(store / "locks")):
            found.append(int(link.parts[2]))
    return found


@pytest.mark.slow
def test_a_study_on_ray_ends_with_other_results(
    finished: Finished, base_assets: Path, tmp_path: Path, cluster: Any
) -> None:
    """Though a worker is killed in the middle of a stage, and a machine leaves later."""
    file, store = layer.write(tmp_path), tmp_path / "store"
    process = start(cluster.address, file, store, tmp_path / "out", base_assets)
    end = time.monotonic() + 120
    while not list(store.glob("stage/*/checkpoints/*/COMPLETE.json")):
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.02)
    for pid in workers_of(store)[:1]:
        os.kill(pid, signal.SIGKILL)
    while not list(store.glob("evaluation/*/COMPLETE.json")):
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.02)
    cluster.remove_node(cluster.machines.pop(), allow_graceful=False)
    code, printed, errors = layer.finish(process)
    assert code == 0, errors
    assert layer.result_text(tmp_path / "out") == layer.result_text(finished.out)
    nodes = len(layer.results(tmp_path / "out")["fingerprints"])
    assert layer.summary(printed)["computed"] == nodes
    assert all(verify(Store(store), *key) == [] for key in artifacts(Store(store)))


def test_an_address_where_nothing_listens_is_a_traceback(
    finished: Finished, base_assets: Path, tmp_path: Path
) -> None:
    pytest.importorskip("ray", reason="ray is not installed")
    file, out = layer.write(tmp_path), tmp_path / "out"
    process = start("127.0.0.1:1", file, tmp_path / "store", out, base_assets)
    layer.one_message(*layer.finish(process), "no Ray cluster at 127.0.0.1:1: Connection refused")
    # A finished study asks nobody.
    process = start("127.0.0.1:1", finished.file, finished.store, finished.out, base_assets)
    code, printed, errors = layer.finish(process)
    assert code == 0, errors
    assert json.loads(printed)["unchanged"]


def test_an_address_without_ray_is_ignored(tmp_path: Path, base_assets: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "whyfirst", "study", "run", str(layer.write(tmp_path)),
         "--address", "127.0.0.1:1"],
        env=layer.environment(base_assets), capture_output=True, text=True,
    )  # fmt: skip
    layer.one_message(run.returncode, run.stdout, run.stderr, "give --executor ray as well")
