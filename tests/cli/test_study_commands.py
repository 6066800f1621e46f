"""`whyfirst study ...` on a real study of seconds, in processes of their own."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from cli_helpers import RunHere, environment, one_object, whyfirst, write_tiny_study

from whyfirst.config.files import read_json
from whyfirst.report.schema import without_timings
from whyfirst.study.execute.graph import Node
from whyfirst.study.shipped import studies_folder

RUN = ("study", "run", "tiny.yaml", "--workers", "1")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder where the tiny study has been run once."""
    folder = tmp_path_factory.mktemp("study")
    write_tiny_study(folder)
    done = whyfirst(*RUN, "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    found = one_object(done.stdout)
    assert found["unchanged"] is False
    assert found["computed"] == 13
    assert found["headline"]["name"] == "main"
    assert "\x1b" not in done.stderr
    assert len(done.stderr.splitlines()) <= 10
    yield folder


def test_a_run_says_what_it_found_and_where(finished: Path) -> None:
    """The report's place or the headline was not told."""
    done = whyfirst(*RUN, cwd=finished)
    assert done.returncode == 0, done.stderr
    assert "A study of seconds" in done.stdout
    assert "report: runs/tiny/report/index.html" in done.stdout
    assert "complete already: nothing to compute" in done.stdout
    assert "\x1b" not in done.stdout
    assert (finished / "runs/tiny/report/index.html").is_file()


def test_the_results_name_the_command_that_repeats_them(finished: Path) -> None:
    """A report could not be repeated because it did not say how it was made."""
    results = read_json(finished / "runs/tiny/report/results.json")
    assert results["command"] == "whyfirst study run tiny.yaml"


def test_the_page_written_anew_is_the_run_s_page(finished: Path) -> None:
    """`whyfirst report` showed arms and benchmarks in another order than the run did."""
    page = finished / "runs/tiny/report/index.html"
    before = page.read_bytes()
    assert whyfirst("report", "runs/tiny", cwd=finished).returncode == 0
    assert page.read_bytes() == before


def test_a_finished_study_imports_no_torch_in_the_parent(finished: Path) -> None:
    """Saying that nothing is left to do took the seconds of importing torch."""
    code = (
        "import sys\nfrom whyfirst.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit as exit:\n    assert not exit.code\n"
        "heavy = ('torch', 'transformers', 'trl', 'datasets')\n"
        "print([name for name in heavy if name in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *RUN, "--json"],
        cwd=finished, env=environment(), capture_output=True, text=True,
    )  # fmt: skip
    assert done.stderr.splitlines() == ["[]"]
    found = one_object(done.stdout)
    assert (found["unchanged"], found["computed"], found["reused"]) == (True, 0, 13)


def test_status_and_plan_count_the_same_parts(finished: Path) -> None:
    """Status and plan disagreed about what a study is made of."""
    status = one_object(whyfirst("study", "status", "tiny.yaml", "--json", cwd=finished).stdout)
    plan = one_object(whyfirst("study", "plan", "tiny.yaml", "--json", cwd=finished).stdout)
    assert (status["total"], status["complete"], status["missing"]) == (13, 13, [])
    assert sum(row["nodes"] for row in plan["stages"]) == 13
    assert sum(row["complete"] for row in plan["stages"]) == 13
    for kind, numbers in status["kinds"].items():
        assert numbers["total"] == sum(r["nodes"] for r in plan["stages"] if r["kind"] == kind)


def test_plan_for_people_names_every_stage_and_contrast(finished: Path) -> None:
    """The table was cut where output is no terminal."""
    done = whyfirst("study", "plan", "tiny.yaml", cwd=finished)
    assert done.returncode == 0, done.stderr
    for words in ("align_other", "preference", "direct - other", "together 13 parts"):
        assert words in done.stdout
    assert "…" not in done.stdout


def test_registering_twice_is_calm_and_a_changed_plan_refused(tmp_path: Path) -> None:
    """A registration could be overwritten by running the command again."""
    path = write_tiny_study(tmp_path)
    first = one_object(whyfirst("study", "register", "tiny.yaml", "--json", cwd=tmp_path).stdout)
    before = (tmp_path / first["registration"]).read_bytes()
    assert whyfirst("study", "register", "tiny.yaml", cwd=tmp_path).returncode == 0
    path.write_text(path.read_text().replace("default: 2", "default: 3"))
    changed = whyfirst("study", "register", "tiny.yaml", cwd=tmp_path)
    assert changed.returncode == 2
    assert "registered already" in changed.stderr
    assert (tmp_path / first["registration"]).read_bytes() == before


def test_ctrl_c_says_how_to_go_on_and_the_same_command_does(finished: Path, tmp_path: Path) -> None:
    """Ctrl-C left a traceback, or the continued study gave other results."""
    write_tiny_study(tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-m", "whyfirst", *RUN],
        cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    end = time.monotonic() + 60
    while not list((tmp_path / "store").glob("*/*/COMPLETE.json")):
        assert time.monotonic() < end
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert out == ""
    assert err.endswith("stopped; the same command continues\n")
    assert "Traceback" not in err
    again = one_object(whyfirst(*RUN, "--json", cwd=tmp_path).stdout)
    assert again["computed"] + again["reused"] == 13
    assert again["reused"] >= 1
    one, two = (
        without_timings(read_json(place / "runs/tiny/report/results.json"))
        for place in (finished, tmp_path)
    )
    assert one == two


def test_a_shipped_study_is_registered_beside_the_package_s_files(run_here: RunHere) -> None:
    """The registration of a user's run landed in the package's own folder of studies."""
    before = sorted(studies_folder().iterdir())
    code, out, err = run_here("study", "register", "hearth-quick")
    assert (code, out) == (2, "") and f"copy {studies_folder() / 'hearth-quick.yaml'}" in err
    assert sorted(studies_folder().iterdir()) == before


def test_a_study_of_an_installed_package_is_registered_by_its_path(
    run_here: RunHere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wheel's studies lie inside the package, where nobody would find a registration again."""
    folder = tmp_path / "studies"
    folder.mkdir()
    file = write_tiny_study(folder)
    monkeypatch.setattr("whyfirst.study.register.__file__", str(tmp_path / "study" / "register.py"))
    code, _, err = run_here("study", "register", str(file))
    assert code == 2 and "ships with the package" in err
    assert not list(folder.glob("*.registration.json"))


def test_a_run_plans_the_study_again_for_its_progress(
    tmp_path: Path, run_here: RunHere, monkeypatch: pytest.MonkeyPatch
) -> None:
    from whyfirst.config.errors import UserError
    from whyfirst.study import config
    from whyfirst.study import run as running
    from whyfirst.study.execute.executor import Event

    read: list[Path] = []
    load = config.load_study

    def counted(file: Path, changes: Sequence[str]) -> config.Study:
        read.append(file)
        return load(file, changes)

    def begun(
        nodes: Sequence[Node], *_: object, on_event: Callable[[Event], None], **__: object
    ) -> None:
        on_event(Event("started", nodes[0].id))
        raise UserError("stopped after its first event")

    write_tiny_study(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(config, "load_study", counted)
    monkeypatch.setattr(running, "run_graph", begun)
    code, _, told = run_here("study", "run", "tiny.yaml")
    assert code == 2 and "stopped after its first event" in told
    assert len(read) == 1
