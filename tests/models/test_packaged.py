"""Models inside packages: found without importing the package, and refused by name."""

import sys
from pathlib import Path

import pytest

from whyfirst.config.errors import UserError
from whyfirst.models.gguf_file import is_packaged, packaged


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "holds_a_model"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise ImportError('needs another program')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


def test_a_package_that_can_not_be_imported_still_gives_its_file(package: Path) -> None:
    file = package / "weights" / "m.gguf"
    file.parent.mkdir()
    file.write_bytes(b"GGUF")
    assert is_packaged("package:holds_a_model") and not is_packaged("org/name")
    assert packaged("package:holds_a_model") == file
    assert "holds_a_model" not in sys.modules


def test_a_package_without_one_file_is_refused(package: Path) -> None:
    with pytest.raises(UserError, match="no GGUF file in"):
        packaged("package:holds_a_model")
    for name in ("a.gguf", "b.gguf"):
        (package / name).write_bytes(b"GGUF")
    with pytest.raises(UserError, match="2 GGUF files in"):
        packaged("package:holds_a_model")


@pytest.mark.parametrize("name", ["no_such_model", "../x", "a.b", "", "json"])
def test_what_is_no_package_is_told_how_to_get_it(name: str) -> None:
    if name == "json":  # a package without a model
        with pytest.raises(UserError, match="no GGUF file in"):
            packaged("package:json")
        return
    with pytest.raises(UserError, match="install it for its file alone"):
        packaged(f"package:{name}")
