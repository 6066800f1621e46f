"""A finished corpus as Parquet files with a dataset card, as `datasets.load_dataset` reads them.

Leaves out: uploading, and the answers that weren't kept.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from whyfirst.config.files import atomic_write

_CARD = """---
configs:
{configs}
tags: [whyfirst, synthetic, alignment]
pretty_name: {title}
---
# {title}

Documents about the values of the constitution `{name}`, and controls that differ in the grounds
they give and in nothing else. Written by: {teacher}.{grammar}

| corpus | documents | tokens | attribution | assertion |
|---|---|---|---|---|
{table}

Columns: `id`, `cell` (pairs documents across corpora), `text`, `value`, `behaviour`, `upheld`,
`genre`, `audience`, `stance`, `angle`, `domain`, `subdomain`, `idea`, `teacher`, `corpus`,
`grounds`, `prompt_sha`, `created`, `tokens`, `words`, `asserted`, `attributed`.

`wrong` argues for the opposite of each value and is for audits only. `audit.html` has coverage,
matching, diversity and overlap with benchmarks; `run.json` the constitution itself.

```python
from datasets import load_dataset
load_dataset("parquet", data_files="explanations.parquet")
```
"""


def save_dataset(
    corpora: Mapping[str, Sequence[Mapping[str, Any]]], report: Mapping[str, Any], folder: Path
) -> list[Path]:
    """Write ``<corpus>.parquet`` for each corpus and ``README.md``; gives what was written.

    Raises:
        StoreError: the folder can't be written.
    """
    written = [save_parquet(rows, folder / f"{name}.parquet") for name, rows in corpora.items()]
    configs = "\n".join(
        f"  - config_name: {name}\n    data_files: {name}.parquet" for name in corpora
    )
    table = "\n".join(
        f"| {name} | {m['documents']} | {m['tokens']} | {m['attribution']:.1%} "
        f"| {m['assertion']:.1%} |"
        for name, m in report["corpora"].items()
    )
    grammar = ""
    if report["is_a_grammar"]:
        grammar = " That is a grammar: the documents were filled in, not written."
    card = _CARD.format(
        configs=configs,
        title=f"Why first: {report['constitution']}",
        name=report["constitution"],
        teacher=report["teacher"],
        grammar=grammar,
        table=table,
    )
    atomic_write(folder / "README.md", card)
    return [*written, folder / "README.md"]


def save_parquet(rows: Sequence[Mapping[str, Any]], path: Path) -> Path:
    """Write rows as one Parquet file, whole or not at all.

    Raises:
        StoreError: the folder can't be written.
    """
    import pyarrow
    from pyarrow import parquet

    # In memory first: a reader must never see half a Parquet file under the final name.
    buffer = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.Table.from_pylist([dict(row) for row in rows]), buffer)
    atomic_write(path, buffer.getvalue().to_pybytes())
    return path
