"""A finished study after harm: torn reports, flipped bytes, removed weights; told, and mended."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import layer_helpers as layer
import pytest
from layer_helpers import Finished
from typer.testing import CliRunner

from whyfirst.cli.app import app
from whyfirst.config.errors import StoreError
from whyfirst.config.files import read_json
from whyfirst.report.unit import MANIFEST, is_whole
from whyfirst.study.execute.store import Store
from whyfirst.study.plan import build_plan
from whyfirst.study.run import run_study, study_status

#: the study's run, killed when it is about to write the named file of its report
KILLED_AT = """
import os, signal, sys
from pathlib import Path
from whyfirst.config import files
from whyfirst.study.run import run_study
replacing = files.replacing
def fatal(path):
    if path.name == sys.argv[1]:
        os.kill(os.getpid(), signal.SIGKILL)
    return replacing(path)
files.replacing = fatal
run_study(*map(Path, sys.argv[2:3]), store=Path(sys.argv[3]), out=Path(sys.argv[4]))
"""


def copied(finished: Finished, folder: Path) -> Finished:
    """The finished study, to be harmed."""
    shutil.copytree(finished.out.parent, folder, dirs_exist_ok=True)
    file, store, out = (
        folder / path.name for path in (finished.file, finished.store, finished.out)
    )
    return Finished(file, store, out, "")


@pytest.mark.parametrize("name", ["items.json", "index.html"])
def test_a_kill_between_the_reports_files_loses_the_items_for_good(
    finished: Finished, base_assets: Path, hearth: Path, tmp_path: Path, name: str
) -> None:
    ours = copied(finished, tmp_path)
    whole = (ours.out / "report" / "items.json").read_bytes()
    for path in (ours.out / "report").iterdir():
        path.unlink()
    command = [
        sys.executable,
        "-c",
        KILLED_AT,
        name,
        str(ours.file),
        str(ours.store),
        str(ours.out),
    ]
    died = subprocess.run(command, env=layer.environment(base_assets), capture_output=True)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert (ours.out / "report" / "results.json").is_file() and not is_whole(ours.out / "report")
    said = CliRunner().invoke(app, ["report", str(ours.out)])
    assert said.exit_code == 2 and "was cut off, so it isn't whole" in said.output
    summary = run_study(ours.file, store=ours.store, out=ours.out)
    assert not summary.unchanged and summary.outcome.computed == []
    assert (ours.out / "report" / "items.json").read_bytes() == whole
    assert run_study(ours.file, store=ours.store, out=ours.out).unchanged


def test_new_results_beside_old_items_pass_for_one_report(
    finished: Finished, hearth: Path, tmp_path: Path
) -> None:
    ours = copied(finished, tmp_path)
    items = ours.out / "report" / "items.json"
    items.write_text(items.read_text() + " ")
    said = CliRunner().invoke(app, ["report", str(ours.out)])
    assert said.exit_code == 2 and "items.json: isn't what was written with" in said.output
    assert not run_study(ours.file, store=ours.store, out=ours.out).unchanged
    assert is_whole(ours.out / "report")


def test_a_report_from_before_there_were_manifests_is_unreadable(
    finished: Finished, tmp_path: Path
) -> None:
    ours = copied(finished, tmp_path)
    (ours.out / "report" / MANIFEST).unlink()
    assert CliRunner().invoke(app, ["report", str(ours.out)]).exit_code == 0
    assert is_whole(ours.out / "report")


def test_a_report_is_made_of_damaged_results(
    finished: Finished, hearth: Path, tmp_path: Path
) -> None:
    ours = copied(finished, tmp_path)
    plan, store = build_plan(ours.file), Store(ours.store)
    node = next(node for node in plan.nodes if node.kind == "evaluation")
    items = store.folder(*node.key) / "items.jsonl"
    text = items.read_text()
    items.write_text(text.replace('"fail"', '"pass"', 1))  # as long as before
    assert items.read_text() != text
    (ours.out / "report" / "results.json").unlink()
    with pytest.raises(StoreError, match=r"items\.jsonl: its content has changed.*put aside"):
        run_study(ours.file, store=ours.store, out=ours.out)
    assert not store.complete(*node.key) and not (ours.out / "report" / "results.json").exists()


def test_keep_last_makes_a_finished_study_unfinished_or_keeps_everything(
    finished: Finished, hearth: Path, tmp_path: Path
) -> None:
    ours = copied(finished, tmp_path)
    text = ours.file.read_text()
    ours.file.write_text(f"{text}keep: last\n")
    plan, store = build_plan(ours.file), Store(ours.store)
    assert {n.fingerprint for n in plan.nodes} == {
        n.fingerprint for n in build_plan(finished.file).nodes
    }
    assert not run_study(ours.file, store=ours.store, out=ours.out).unchanged
    stages = [node for node in plan.nodes if node.kind == "stage"]
    held = {node.id for node in stages if any(store.folder(*node.key).rglob("*.safetensors"))}
    assert held == {chain[-1] for chain in plan.stages.values() if chain} != {n.id for n in stages}
    assert run_study(ours.file, store=ours.store, out=ours.out).unchanged
    status = study_status(ours.file, ours.store)
    assert status.complete == status.total
    assert layer.results(ours.out)["arms"] == layer.results(finished.out)["arms"]


def test_the_store_does_not_know_its_studies(finished: Finished, tmp_path: Path) -> None:
    said = CliRunner().invoke(app, ["store", "list", "--store", str(finished.store), "--json"])
    listed = json.loads(said.stdout)["studies"]
    assert [(s["study"], s["complete"] == s["parts"], s["protected"]) for s in listed] == [
        ("reduced", True, "")
    ]
    assert read_json(next((finished.store / "studies").iterdir()))["runners"] == []
