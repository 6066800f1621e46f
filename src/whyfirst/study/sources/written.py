"""One of the corpora that a teacher wrote together, under one name of a study's `written`."""

from pathlib import Path
from typing import Annotated

from whyfirst.config.files import read_jsonl
from whyfirst.config.strict import affects_output
from whyfirst.explain.explanation import Corpus
from whyfirst.study.sources import CORPORA, Row


@CORPORA.enter("written")
def written(
    *,
    written: Annotated[str, affects_output(description="its name under `written`")],
    documents: Annotated[Corpus, affects_output()],
    tokens: Annotated[
        int | None, affects_output(ge=1, description="matched to 0.5 %; null: all there are")
    ] = None,
    folder: Path,
) -> list[Row]:
    """One of the corpora that a teacher wrote together, without the moment of writing."""
    rows = read_jsonl(folder / f"{documents}.jsonl")
    return [{name: part for name, part in row.items() if name != "created"} for row in rows]
