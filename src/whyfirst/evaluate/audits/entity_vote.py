"""Which candidate is meant, by a vote over rounds that turn their order: ``entity_vote``.

LLM-Align (Chen et al. 2024, arXiv 2412.04690): entities matched across graphs by a model's choice
in several rounds with the candidates in another order. Each candidate stands once in each place, so
that a model that goes by places divides its votes evenly, and abstains. Leaves out: candidates by
embedding, and the choice of attributes and relations to show.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from whyfirst.config.errors import DataError
from whyfirst.evaluate.audits.conditions import (
    Answer,
    Ask,
    Shares,
    by_rows,
    letters_of,
    rows_of,
    scored,
)
from whyfirst.evaluate.benchmark import Metric, benchmark
from whyfirst.evaluate.gaps import mean_gaps
from whyfirst.evaluate.item import ItemResult, limited, unscored
from whyfirst.evaluate.orders import turned
from whyfirst.models.base import asked

RIGHT = Metric(
    "entity_vote", "Entity found",
    "Share of the entities on which more than half of the rounds agree that the agreed candidate "
    "is the right one; the others are unscored.",
)  # fmt: skip
DIVIDED = "the rounds divide over the candidates"


@benchmark(
    "entity_vote",
    version="1",
    definition="A choice between candidates by likelihood, in as many turned orders as candidates.",
    needs="entities.jsonl of entity, candidates (up to 26 descriptions) and answer (one of them)",
    metrics=(RIGHT,),
    source="Chen et al. 2024 (arXiv 2412.04690)",
    gaps=mean_gaps(),
    example={"entities.jsonl": '{"entity": "Paris (city)", "candidates": ["Paris, France", '
             '"Paris, Texas"], "answer": "Paris, France"}\n'},
)  # fmt: skip
def entity_vote(*, data: Path, limit: int | None = None) -> Shares:
    """Every entity in every turn of its candidates."""
    rows = rows_of(data, "entities.jsonl", "entity_vote", ["entity", "answer"], ["candidates"])
    for row in rows:
        row["letters"] = letters_of(f"{data}: {row['id']}", row["candidates"])
        # An answer that is none of them could only ever be missed.
        if row["answer"] not in row["candidates"]:
            raise DataError(f"{data}: {row['id']}: 'answer' is none of its candidates")
    rows = limited(rows, limit, lambda row: str(row["id"]))
    return by_rows(rows, _asks, _read, lambda row: str(row["entity"]))


def _asks(row: dict[str, Any]) -> Iterable[Ask]:
    for at, order in enumerate(turned(row["candidates"], row["id"])):
        letters = row["letters"]
        listed = "\n".join(f"{letter}: {text}" for letter, text in zip(letters, order, strict=True))
        text = f"Which is the same as: {row['entity']}?\n{listed}\nAnswer with one letter."
        yield Ask(f"{row['id']}/{at}", asked(text), letters)


def _read(row: dict[str, Any], answers: Sequence[Answer]) -> Iterable[ItemResult]:
    each = zip(turned(row["candidates"], row["id"]), answers, strict=True)
    votes = [order[one.shares.index(max(one.shares))] for order, one in each if one.shares]
    agreed = majority(votes) if len(votes) == len(answers) else row["answer"]
    if agreed is None:
        yield unscored(row["id"], RIGHT.name, DIVIDED, topic=row["topic"])
    else:
        right = float(agreed == row["answer"])
        yield scored(row["id"], RIGHT.name, answers, right, topic=row["topic"])


def majority(votes: Sequence[str]) -> str | None:
    """What more than half of the votes are for; None if nothing is."""
    vote, n = Counter(votes).most_common(1)[0]
    return vote if n > len(votes) / 2 else None
