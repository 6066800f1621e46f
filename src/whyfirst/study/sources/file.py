"""A file of rows with a stage's columns: JSONL, JSON, CSV or parquet."""

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from whyfirst.config.errors import DataError
from whyfirst.config.strict import added_later, runtime_only
from whyfirst.data.rows import iter_rows
from whyfirst.study.sources import CORPORA, Row


@CORPORA.enter("file")
def file(
    *,
    path: Annotated[Path, runtime_only(description="its content is fingerprinted")],
    size: Annotated[
        int | None, added_later(None, ge=1, description="rows, the first ones; null: all")
    ] = None,
) -> Iterable[Row]:
    """A JSONL file with the stage's columns, one row after the other."""
    rows = itertools.islice(iter_rows(path), size)
    first = next(rows, None)
    if first is None:
        raise DataError(f"{path}: no rows")
    return itertools.chain([first], rows)
