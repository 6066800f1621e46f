"""A run's folder before it has results: what is missing is said, and it can be watched."""

import json
import shutil
from pathlib import Path

import layer_helpers as layer
import pytest
from layer_helpers import Finished
from typer.testing import CliRunner

from whyfirst.cli.app import app
from whyfirst.study.config import Overrides
from whyfirst.study.running import RUN_FILE, RunPlace, note_run, noted_run


def invoke(*arguments: str) -> tuple[int, str]:
    found = CliRunner().invoke(app, list(arguments))
    return found.exit_code, " ".join(found.output.split())


def test_a_run_that_is_not_finished_says_nothing_of_what_is_missing(
    tmp_path: Path, hearth: Path
) -> None:
    """`report` and `watch` of a running study's folder knew no study."""
    file, run = layer.write(tmp_path / "study"), tmp_path / "run"
    note_run(run, RunPlace(file, tmp_path / "store", Overrides(limit=60)))
    code, said = invoke("report", str(run))
    assert code == 2 and "not finished: 0 of" in said and "of kind stage" in said
    assert "--limit 60 --store" in said
    code, said = invoke("watch", str(run), "--json")
    assert code == 0 and json.loads(said)["complete"] is False
    for option, value in (("--limit", "9"), ("--set", "seeds.default=1"), ("--model", "x/y")):
        # The run's own would have been watched, whatever was asked.
        code, said = invoke("watch", str(run), option, value)
        assert code == 2 and f"{option}: {run} is a run's folder" in said
    for command in (("card", str(run), "direct"), ("chat", str(run))):
        code, said = invoke(*command)
        assert code == 2 and "not finished" in said


def test_a_folder_moved_with_its_store_is_lost(finished: Finished, tmp_path: Path) -> None:
    """Absolute places held on one machine only; a finished run is shown, not watched."""
    place = noted_run(finished.out)
    assert place is not None and place.file.samefile(finished.file)
    assert str(finished.file.parent) not in (finished.out / RUN_FILE).read_text()
    shutil.copytree(finished.out.parent, tmp_path / "moved")
    moved = noted_run(tmp_path / "moved" / finished.out.name)
    assert moved is not None and moved.file.is_relative_to(tmp_path / "moved")


LONG = json.dumps({"study": "é" * 300, "store": "store"})


@pytest.mark.parametrize("text", ["[]", '{"study": 3, "store": "x"}', '{"store": "x"}', LONG])
def test_a_torn_record_is_a_traceback(tmp_path: Path, text: str) -> None:
    (tmp_path / RUN_FILE).write_text(text)
    code, said = invoke("report", str(tmp_path))
    assert code == 2 and "not a run's record" in said
