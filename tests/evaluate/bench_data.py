"""Where published data are, for tests that read them."""

import os
from pathlib import Path

import pytest

DATA = Path(os.environ.get("WHYFIRST_DATA", Path(__file__).parents[3] / "shared" / "data"))
COMPLETIONS = DATA / "xstest" / "model_completions"
needs_completions = pytest.mark.skipif(
    not COMPLETIONS.is_dir(), reason=f"no XSTest completions under {DATA}"
)
