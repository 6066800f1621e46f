"""`whyfirst report`: a run's page written anew from its results.json."""

import json
import sys
from pathlib import Path

import pytest
from cli_helpers import RunHere, one_object

from whyfirst.report.unit import one_unit


@pytest.fixture
def run_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run's folder with a results.json and no page."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent / "report"))
    from report_synthetic import synthetic_results

    sys.modules.pop("report_synthetic", None)
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "results.json").write_text(json.dumps(synthetic_results()))
    return tmp_path


def test_the_page_is_written_from_the_results(run_folder: Path, run_here: RunHere) -> None:
    """A report could only be had by running the study."""
    code, out, _ = run_here("report", str(run_folder), "--json")
    assert code == 0
    page = Path(one_object(out)["report"])
    assert page == run_folder / "report" / "index.html"
    assert page.read_text().startswith("<!doctype html>")


def test_a_folder_without_results_says_what_is_expected(tmp_path: Path, run_here: RunHere) -> None:
    """A wrong folder ended in a traceback."""
    code, out, err = run_here("report", str(tmp_path))
    assert (code, out) == (2, "")
    assert "no report/results.json there" in err


def test_results_of_another_version_are_refused(run_folder: Path, run_here: RunHere) -> None:
    """A newer file was half understood."""
    path = run_folder / "report" / "results.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema_version": 99}))
    code, _, err = run_here("report", str(run_folder))
    assert code == 2
    assert "schema version 99" in err


def test_imported_scores_stay_in_the_report(run_folder: Path, run_here: RunHere) -> None:
    """What was imported was gone when the page was written anew."""
    results = json.loads((run_folder / "report" / "results.json").read_text())
    arm, seed = next((arm, seeds[0]) for arm, seeds in results["seeds"].items() if seeds)
    file = run_folder / "results_x.json"
    file.write_text(json.dumps({
        "results": {"quiz": {"acc,none": 0.5, "acc_stderr,none": 0.1}}, "configs": {"quiz": {}},
    }))  # fmt: skip
    code, out, err = run_here(
        "report", str(run_folder), "--import-log", f"{arm}:{seed}={file}", "--json"
    )
    assert code == 0, err
    one_object(out)
    assert "quiz, acc (lm-eval)" in (run_folder / "report" / "index.html").read_text()
    with one_unit(run_folder / "report"):  # as a study's rerun does
        (run_folder / "report" / "results.json").write_text(json.dumps(results))
    code, _, err = run_here("report", str(run_folder))
    assert code == 0, err
    assert "quiz, acc (lm-eval)" in (run_folder / "report" / "index.html").read_text()
    code, _, err = run_here("report", str(run_folder), "--import-log", f"{arm}:{seed}=none.eval")
    assert code == 2 and "no such file" in err


def test_a_run_is_found_by_its_folder_only(
    run_folder: Path, run_here: RunHere, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`study status NAME` knew the study and `report NAME` didn't know its run."""
    (run_folder / "runs" / "tiny").mkdir(parents=True)
    (run_folder / "report").rename(run_folder / "runs" / "tiny" / "report")
    monkeypatch.chdir(run_folder)
    code, out, err = run_here("report", "tiny", "--json")
    assert code == 0, err
    assert Path(one_object(out)["report"]) == Path("runs/tiny/report/index.html")
    code, out, err = run_here("watch", "tiny", "--json")
    assert code == 0 and one_object(out)["complete"] is True, err
    code, _, err = run_here("watch", "runs/tiny", "--limit", "9")
    assert code == 2 and "--limit: runs/tiny is a run's folder" in " ".join(err.split())
    (run_folder / "tiny").mkdir()
    code, _, err = run_here("report", "tiny")
    assert code == 2 and err.startswith("error: tiny: no report/results.json"), err
