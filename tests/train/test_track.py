"""Trackers get the log's numbers and nothing else, and change nothing of what is trained."""

import json
import socket
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from whyfirst.config.errors import ConfigError
from whyfirst.config.files import read_jsonl, sha256_file
from whyfirst.config.strict import decisive
from whyfirst.train import track
from whyfirst.train.config import SFTStage
from whyfirst.train.run import run_stage

SFT = SFTStage(updates=20, batch_size=8, learning_rate=3e-3)
ROW = {
    "loss": 1.5, "step": 3, "rewards/chosen": 0.25, "reward/format": 1,
    "completions/mean_length": 4, "prompt": "a text", "loss_text": "another",
    "path": "/home/someone", "kl": float("nan"), "finished": True, "seconds": 4.0, "key": 1.0,
}  # fmt: skip


def test_texts_or_unknown_names_are_sent() -> None:
    """A library that logs completions would have them sent to a server."""
    expected = {"loss": 1.5, "step": 3.0, "rewards/chosen": 0.25, "reward/format": 1.0,
                "completions/mean_length": 4.0}  # fmt: skip
    assert track.numbers(ROW) == expected


def test_tracking_is_on_or_changes_a_fingerprint() -> None:
    """A study followed on a server was another study."""
    tracked = SFT.model_copy(update={"report_to": ("mlflow", "wandb")})
    assert SFT.report_to == ()
    assert decisive(tracked) == decisive(SFT)


def test_a_tracker_that_is_not_installed_is_named(
    bases: dict[str, Path], data: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Trainer's own message names a class and no extra."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *more: None)
    config = SFT.model_copy(update={"report_to": ("wandb",)})
    given = {"demonstrations": data["demonstrations"]}
    with pytest.raises(ConfigError, match=r"wandb isn't installed.*whyfirst\[track\]"):
        run_stage(config, bases["llama"], given, tmp_path / "out", 0)


@pytest.fixture
def tracked(
    bases: dict[str, Path], data: dict[str, Path], tmp_path: Path
) -> Callable[[str], list[dict[str, Any]]]:
    """Train a stage with a tracker, check that its weights are the untracked ones; its log."""

    def train(name: str) -> list[dict[str, Any]]:
        given = {"demonstrations": data["demonstrations"]}
        run_stage(SFT, bases["llama"], given, tmp_path / "plain", 0)
        config = SFT.model_copy(update={"report_to": (name,)})
        run_stage(config, bases["llama"], given, tmp_path / "followed", 0)
        weights = [tmp_path / run / "model" / "model.safetensors" for run in ("plain", "followed")]
        assert sha256_file(weights[0]) == sha256_file(weights[1])
        return read_jsonl(tmp_path / "followed" / "log.jsonl")

    return train


def assert_private(stored: bytes, tmp_path: Path, data: dict[str, Path]) -> None:
    """Nothing of the machine or of the data is in what a tracker keeps."""
    for place in (tmp_path / "followed", data["demonstrations"].parent, Path(__file__).parent):
        assert str(place).encode() not in stored
    first = read_jsonl(data["demonstrations"])[0]
    assert first["prompt"].encode() not in stored and b"output_dir" not in stored


def test_mlflow_gets_the_numbers_alone(
    tracked: Callable[[str], list[dict[str, Any]]], data: dict[str, Path], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Its callback sends every training argument; its tags the user, the script and its folder."""
    mlflow = pytest.importorskip("mlflow", reason="the extra [track] is not installed")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlflow").as_uri())
    mlflow.set_tracking_uri((tmp_path / "mlflow").as_uri())
    log = tracked("mlflow")
    client = mlflow.MlflowClient()
    (experiment,) = client.search_experiments(filter_string=f"name = '{track.PROJECT}'")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert set(run.data.params) <= {*track.SETTINGS, "seed"}
    sent = {m.step: m.value for m in client.get_metric_history(run.info.run_id, "loss")}
    assert sent == pytest.approx({row["step"]: row["loss"] for row in log if "loss" in row})
    assert_private(repr(run.data).encode(), tmp_path, data)


def test_wandb_gets_the_numbers_alone(
    tracked: Callable[[str], list[dict[str, Any]]], data: dict[str, Path], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """It also takes the console, the command line, the host and the code."""
    pytest.importorskip("wandb", reason="the extra [track] is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    tracked("wandb")
    runs = list((tmp_path / "wandb").glob("offline-run-*"))
    assert len(runs) == 1
    stored = b"".join(p.read_bytes() for p in runs[0].rglob("run-*.wandb"))
    assert b"train/loss" in stored and b"learning_rate" in stored
    assert_private(stored, tmp_path, data)
    assert not list((runs[0] / "files").iterdir())  # no command line, packages or code
    assert socket.gethostname().encode() not in stored


def test_trackio_gets_the_numbers_alone(
    tracked: Callable[[str], list[dict[str, Any]]], data: dict[str, Path], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Its callback sends every training argument and the model's configuration."""
    for name in [name for name in sys.modules if name.split(".")[0] == "trackio"]:
        monkeypatch.delitem(sys.modules, name)  # the folder is read when it is imported
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    pytest.importorskip("trackio", reason="trackio is not installed")
    log = tracked("trackio")
    (found,) = (tmp_path / "trackio").glob("whyfirst*.db")
    with sqlite3.connect(found) as base:
        rows = [json.loads(text) for (text,) in base.execute("select metrics from metrics")]
    sent = [row["train/loss"] for row in rows if "train/loss" in row]
    assert sent == pytest.approx([row["loss"] for row in log if "loss" in row])
    assert_private(found.read_bytes(), tmp_path, data)
