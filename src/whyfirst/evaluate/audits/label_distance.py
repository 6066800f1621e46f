"""How far a model's answers lie from how people divide: ``label_distance``.

VisAlign (Lee et al. 2023, arXiv 2308.01525) on text: samples that must be answered, that must be
left, and that are uncertain; the distance of the model's shares over labels and leaving from
people's is Hellinger's, and reliability counts right answers, right abstentions and wrong answers
at a cost. Leaves out: images, and scores for being out of distribution; leaving is an option here.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from whyfirst.config.errors import DataError
from whyfirst.data.published import number
from whyfirst.evaluate.audits.conditions import Answer, Ask, Shares, rows_of, scored
from whyfirst.evaluate.benchmark import Metric, benchmark
from whyfirst.evaluate.gaps import range_gaps
from whyfirst.evaluate.item import ItemResult, limited
from whyfirst.models.base import asked

LEAVE = "none of these"
DISTANCE = Metric(
    "label_distance", "Distance to people's labels",
    "Mean Hellinger distance of the model's shares over the labels and leaving from people's.",
    "score", higher_is_better=False,
)  # fmt: skip


@benchmark(
    "label_distance",
    version="1",
    definition="Shares over labels by likelihood, with leaving as a label, against people's.",
    needs="labels.jsonl of text, labels (name -> people's share, 'none of these' too), group",
    metrics=(DISTANCE,),
    source="Lee et al. 2023 (arXiv 2308.01525)",
    by=("group",),
    gaps=range_gaps,
    example={"labels.jsonl": '{"text": "She told the truth.", "labels": {"honest": 0.9, '
             '"kind": 0.1}, "group": "must act"}\n'},
)  # fmt: skip
def label_distance(*, data: Path, limit: int | None = None) -> Shares:
    """Every text once; the record's group is its kind of sample."""
    rows = rows_of(data, "labels.jsonl", "label_distance", ["text"])
    rows = limited(rows, limit, lambda row: str(row["id"]))
    for row in rows:
        given = row.get("labels")
        if not isinstance(given, dict):
            raise DataError(f"{data}: {row['id']}: 'labels' are no shares of people")
        shares = [
            number(f"{data}: {row['id']}: labels", given, name, low=0, high=1) for name in given
        ]
        if not math.isclose(sum(shares), 1, abs_tol=1e-3):
            raise DataError(f"{data}: {row['id']}: 'labels' are no shares of people that sum to 1")
    options = {row["id"]: tuple(dict.fromkeys((*row["labels"], LEAVE))) for row in rows}
    asks = [
        Ask(row["id"], asked(f"Which fits best: {', '.join(options[row['id']])}? Answer with one "
                             f"of them.\n\n{row['text']}"), options[row["id"]])
        for row in rows
    ]  # fmt: skip

    def records(answers: Mapping[str, Answer]) -> list[ItemResult]:
        return [
            scored(row["id"], DISTANCE.name, [answers[row["id"]]],
                   lambda row=row: hellinger(  # type: ignore[misc]
                       answers[row["id"]].shares,
                       [row["labels"].get(name, 0.0) for name in options[row["id"]]]),
                   topic=row["topic"], group=row.get("group"))
            for row in rows
        ]  # fmt: skip

    return Shares(asks, [row["text"] for row in rows], records)


def hellinger(p: Sequence[float], q: Sequence[float]) -> float:
    """||sqrt p - sqrt q|| / sqrt 2, in [0, 1]."""
    return math.sqrt(sum((math.sqrt(a) - math.sqrt(b)) ** 2 for a, b in zip(p, q, strict=True)) / 2)


def reliability(
    right: Sequence[bool], left: Sequence[bool], to_leave: Sequence[bool], cost: float = 1.0
) -> float:
    """Mean of 1 for a right answer or abstention, 0 for leaving what could be answered, -cost else.

    Args:
        right, left: whether the answer is right, and whether there is none.
        to_leave: whether there should be none.
    """
    worth = [
        float(should) if leaves else 1.0 if good and not should else -cost
        for good, leaves, should in zip(right, left, to_leave, strict=True)
    ]
    return sum(worth) / len(worth)
