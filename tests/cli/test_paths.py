"""Shipped studies are found by name, wherever the package runs from."""

from pathlib import Path

import pytest

from whyfirst.config.errors import UserError
from whyfirst.study.shipped import shipped_studies, shipped_study, studies_folder, study_file


def test_an_unknown_name_is_a_message() -> None:
    """An unknown study was taken for a path and opened."""
    with pytest.raises(UserError, match="no shipped study 'heath-dmeo'"):
        shipped_study("heath-dmeo")
    with pytest.raises(UserError, match="no such file, and no shipped study"):
        study_file("nothing.yaml")


def test_a_file_comes_before_a_shipped_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user's own file was passed over for the shipped study of its name."""
    monkeypatch.chdir(tmp_path)
    Path("hearth-demo").write_text("study: mine\n")
    assert study_file("hearth-demo") == Path("hearth-demo")
    with pytest.raises(UserError, match="is a folder"):
        study_file(str(tmp_path))


def test_names_lead_to_files() -> None:
    """A listed study could not be opened."""
    assert [shipped_study(name).is_file() for name in shipped_studies()] == [True] * len(
        shipped_studies()
    )
    assert studies_folder().name == "studies"


@pytest.mark.parametrize("name", ["hearth-demo", "hearth-quick"])
def test_what_the_demo_runs_ships(name: str) -> None:
    """`whyfirst demo` named a study that is not there."""
    assert shipped_study(name).is_file()
