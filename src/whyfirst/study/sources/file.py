"""A JSONL file with a stage's columns."""

from pathlib import Path
from typing import Annotated

from whyfirst.config.errors import DataError
from whyfirst.config.files import read_jsonl
from whyfirst.config.strict import runtime_only
from whyfirst.study.sources import CORPORA, Row
from whyfirst.train.config_base import added_later


@CORPORA.enter("file")
def file(
    *,
    path: Annotated[Path, runtime_only(description="its content is fingerprinted")],
    size: Annotated[
        int | None, added_later(None, ge=1, description="rows, the first ones; null: all")
    ] = None,
) -> list[Row]:
    """A JSONL file with the stage's columns."""
    rows = read_jsonl(path, whole_characters=True)
    if not rows:
        raise DataError(f"{path}: no rows")
    return rows[:size]
