"""A corpus source: the rows of a CSV file whose first line names the columns.

Leaves out: other separators and encodings than commas and UTF-8.
"""

import csv
from pathlib import Path
from typing import Annotated, Any

from whyfirst.config.errors import DataError
from whyfirst.config.strict import affects_output, runtime_only
from whyfirst.study.sources import CORPORA


@CORPORA.enter("csv", tested="the rows of a file by hand; a short line is told with its number")
def csv_file(
    *,
    path: Annotated[Path, runtime_only(description="its content is fingerprinted")],
    size: Annotated[int | None, affects_output(ge=1, description="the first rows")] = None,
) -> list[dict[str, Any]]:
    """A CSV file with the stage's columns.

    Raises:
        DataError: no rows, or a line with more or fewer cells than columns.
    """
    with path.open(encoding="utf-8", newline="") as file:
        rows: list[dict[str, Any]] = []
        for row in (reader := csv.DictReader(file, strict=True)):
            if None in row or None in row.values():
                raise DataError(f"{path}: line {reader.line_num}: not one cell a column")
            rows.append(dict(row))
    if not rows:
        raise DataError(f"{path}: no rows")
    return rows[:size]
