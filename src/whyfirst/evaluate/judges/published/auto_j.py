"""Auto-J's judgements of 1,392 pairs in both orders.

Li et al. 2023, arXiv 2310.05470. In the files 0 is the response shown first, 1 the other, 2 a tie;
the exchanged run's verdicts are of the exchanged pair. Leaves out: its critiques of one response.
"""

from pathlib import Path
from typing import Any

from whyfirst.config.errors import DataError
from whyfirst.data.published import json_lines, one_file
from whyfirst.evaluate.judges import TURNED, Winner
from whyfirst.evaluate.judges.protocols import Judged
from whyfirst.evaluate.judges.published import REPRODUCTIONS, Figure

_WINNERS: tuple[Winner, ...] = ("a", "b", "tie")


@REPRODUCTIONS.enter(
    "auto_j",
    paper="Li et al. 2023, arXiv 2310.05470",
    needs="testdata_pairwise.jsonl, pairwise_example_output.jsonl and its exchanged run",
    tested="765, 1161 and 835 of 1,392",
)
def auto_j(*, data: Path) -> list[Figure]:
    """Agreement in both orders, consistency, and agreement in one order."""
    labels = _rows(data, "testdata_pairwise.jsonl", "label")
    said = _rows(data, "pairwise_example_output.jsonl", "output")
    exchanged = _rows(data, "pairwise_exchange_example_output.jsonl", "output")
    if not len(labels) == len(said) == len(exchanged):
        raise DataError(f"{data}: {len(labels)} pairs, {len(said)} and {len(exchanged)} verdicts")
    rows = [
        Judged(label, one, TURNED[other])
        for (label, _), (one, _), (other, _) in zip(labels, said, exchanged, strict=True)
    ]
    topics = [str(row["scenario"]) for _, row in labels]
    return [
        Figure("label in both orders", 765, [row.agrees for row in rows], topics),
        Figure("same in both orders", 1161, [row.consistent for row in rows], topics),
        Figure("label in one order", 835, [row.forward == row.label for row in rows], topics),
    ]


def _rows(data: Path, name: str, key: str) -> list[tuple[Winner, dict[str, Any]]]:
    file = one_file(data, [name], "auto_j")
    found = []
    for number, row in json_lines(file):
        if row.get(key) not in (0, 1, 2):
            raise DataError(f"{file}: row {number}: {key!r} is not 0, 1 or 2")
        found.append((_WINNERS[row[key]], row))
    return found
