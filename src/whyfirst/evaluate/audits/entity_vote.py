"""Which candidate is meant, by a vote over rounds that turn their order: ``entity_vote``.

LLM-Align (Chen et al. 2024, arXiv 2412.04690): entities matched across graphs by a model's choice
in several rounds with the candidates in another order. Each candidate stands once in each place, so
that a model that goes by places divides its votes evenly, and abstains. Leaves out: candidates by
embedding, and the choice of attributes and relations to show.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random

from whyfirst.evaluate.audits.conditions import Answer, Ask, Shares, rows_of, scored
from whyfirst.evaluate.benchmark import Metric, benchmark
from whyfirst.evaluate.item import ItemResult, limited, unscored
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
    example={"entities.jsonl": '{"entity": "Paris (city)", "candidates": ["Paris, France", '
             '"Paris, Texas"], "answer": "Paris, France"}\n'},
)  # fmt: skip
def entity_vote(*, data: Path, limit: int | None = None) -> Shares:
    """Every entity in every turn of its candidates."""
    rows = rows_of(data, "entities.jsonl", "entity_vote", ["entity", "answer"], ["candidates"])
    rows = limited(rows, limit, lambda row: str(row["id"]))
    turns = {row["id"]: turned(row["candidates"], row["id"]) for row in rows}
    asks = [
        Ask(
            f"{row['id']}/{at}",
            asked(
                f"Which is the same as: {row['entity']}?\n"
                + "\n".join(f"{chr(65 + k)}: {text}" for k, text in enumerate(order))
                + "\nAnswer with one letter."
            ),
            tuple(chr(65 + k) for k in range(len(order))),
        )
        for row in rows
        for at, order in enumerate(turns[row["id"]])
    ]

    def records(answers: Mapping[str, Answer]) -> list[ItemResult]:
        out = []
        for row in rows:
            orders = turns[row["id"]]
            said = [answers[f"{row['id']}/{at}"] for at in range(len(orders))]
            votes = [order[one.shares.index(max(one.shares))]
                     for order, one in zip(orders, said, strict=True) if one.shares]  # fmt: skip
            agreed = majority(votes) if len(votes) == len(orders) else row["answer"]
            if agreed is None:
                out.append(unscored(row["id"], RIGHT.name, DIVIDED, topic=row["topic"]))
            else:
                out.append(
                    scored(row["id"], RIGHT.name, said,
                           lambda a=agreed, w=row["answer"]: float(a == w), topic=row["topic"])  # type: ignore[misc]
                )  # fmt: skip
        return out

    return Shares(asks, [row["entity"] for row in rows], records)


def turned(candidates: Sequence[str], name: str) -> list[list[str]]:
    """The candidates shuffled once, by name, and then turned through every place."""
    first = Random(name).sample(list(candidates), len(candidates))
    return [first[at:] + first[:at] for at in range(len(first))]


def majority(votes: Sequence[str]) -> str | None:
    """What more than half of the votes are for; None if nothing is."""
    vote, n = Counter(votes).most_common(1)[0]
    return vote if n > len(votes) / 2 else None
