"""Fixtures of the command line's tests."""

from pathlib import Path

import pytest
from cli_helpers import RunHere

from whyfirst.cli import main


@pytest.fixture
def run_here(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> RunHere:
    """Run the command line in this process: exit code, standard output, standard error.

    Its store is the test's own, and not one in the folder the tests are started from.
    """
    monkeypatch.setenv("WHYFIRST_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("WHYFIRST_PLUGINS", "")  # what a test adds ends with it

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        captured = capsys.readouterr()
        code = caught.value.code
        return (code if isinstance(code, int) else 0), captured.out, captured.err

    return run
