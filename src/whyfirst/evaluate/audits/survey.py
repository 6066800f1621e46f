"""Survey answers with the letters' own pull taken out: ``survey``.

Dominguez-Olmedo et al. 2024, "Questioning the Survey Responses of Large Language Models", arXiv
2306.07951. Each question is asked in every order of its choices; what a letter gets goes back to
the choice that it stood for, by the inverse of the order (the authors' code applies the order
itself, which draws every answer towards uniform by 1 / (n - 1)). Leaves out: telling
model-filled questionnaires from a census by a classifier.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import permutations
from pathlib import Path
from random import Random
from typing import Any

from whyfirst.evaluate.audits.conditions import Answer, Ask, Shares, paired_gaps, rows_of, scored
from whyfirst.evaluate.benchmark import Metric, benchmark
from whyfirst.evaluate.item import ItemResult, limited, unscored

FIRST = Metric(
    "survey_first_slot", "Survey: first letter",
    "Mean probability of the first letter over all orders of a question's choices; 1 / n of n "
    "choices without a bias, which is what the A-bias is counted from.", "score",
)  # fmt: skip
ENTROPY = Metric(
    "survey_entropy", "Survey: entropy",
    "Mean entropy of the answer over its greatest, as asked once and over all orders.", "score",
)  # fmt: skip
DISTANCE = Metric(
    "survey_distance", "Survey: distance to people",
    "Mean total variation distance of the answer from people's shares.", "score",
    higher_is_better=False,
)  # fmt: skip
ONCE, ALL = "as asked", "all orders"


@benchmark(
    "survey",
    version="1",
    definition="Multiple-choice opinions by likelihood, in every order of the choices.",
    needs="survey.jsonl of question, choices and, if there are some, people's shares",
    metrics=(FIRST, ENTROPY, DISTANCE),
    source="Dominguez-Olmedo et al. 2024 (arXiv 2306.07951)",
    by=("group",),
    gaps=paired_gaps((ALL, ONCE)),
    example={"survey.jsonl": '{"question": "Tea or coffee?", "choices": ["Tea", "Coffee"], '
             '"shares": [0.4, 0.6]}\n'},
)  # fmt: skip
def survey(*, data: Path, limit: int | None = None, orders: int = 24) -> Shares:
    """Every question in all orders of its choices.

    Args:
        orders: the most orders of a question; where it has more, so many are drawn, the given
            order among them.
    """
    rows = rows_of(data, "survey.jsonl", "survey", ["question"], ["choices"])
    rows = limited(rows, limit, lambda row: str(row["id"]))
    asked = {str(row["id"]): _orders(row, orders) for row in rows}
    asks = [
        Ask(f"{row['id']}/{at}", _prompt(row, order), tuple(f" {_letter(k)}" for k in order_range))
        for row in rows
        for at, order in enumerate(asked[row["id"]])
        for order_range in [range(len(order))]
    ]

    def records(answers: Mapping[str, Answer]) -> list[ItemResult]:
        return [
            record
            for row in rows
            for record in _records(
                row, asked[row["id"]],
                [answers[f"{row['id']}/{at}"] for at in range(len(asked[row["id"]]))],
            )
        ]  # fmt: skip

    return Shares(asks, [row["question"] for row in rows], records)


def adjusted(
    orders: Sequence[Sequence[int]], shares: Sequence[Sequence[float]]
) -> tuple[float, ...]:
    """The mean share of each choice over orders: letter k of an order stood for choice order[k]."""
    out = [0.0] * len(orders[0])
    for order, share in zip(orders, shares, strict=True):
        for choice, value in zip(order, share, strict=True):
            out[choice] += value / len(orders)
    return tuple(out)


def normalised_entropy(shares: Sequence[float]) -> float:
    """H(p) / log n, in [0, 1]."""
    return -sum(p * math.log(p) for p in shares if p > 0) / math.log(len(shares))


def _letter(place: int) -> str:
    return chr(ord("A") + place)


def _orders(row: Mapping[str, Any], most: int) -> list[tuple[int, ...]]:
    n = len(row["choices"])
    if math.factorial(n) <= most:
        return list(permutations(range(n)))
    rng = Random(str(row["id"]))
    drawn = {tuple(range(n)): None}
    while len(drawn) < most:
        drawn[tuple(rng.sample(range(n), n))] = None
    return list(drawn)


def _prompt(row: Mapping[str, Any], order: Sequence[int]) -> str:
    shown = "\n".join(f"{_letter(k)}. {row['choices'][c]}" for k, c in enumerate(order))
    return f"Question: {row['question']}\n{shown}\nAnswer:"


def _records(
    row: Mapping[str, Any], orders: Sequence[Sequence[int]], answers: Sequence[Answer]
) -> list[ItemResult]:
    shares = [answer.shares for answer in answers]

    def people(said: Sequence[float]) -> float:
        theirs: list[float] = row["shares"]
        return sum(abs(a - b) for a, b in zip(said, theirs, strict=True)) / 2

    name, topic = str(row["id"]), row["topic"]
    out = [
        scored(name, FIRST.name, answers, lambda: sum(s[0] for s in shares) / len(shares),
               topic=topic)
    ]  # fmt: skip
    for group, used in ((ONCE, answers[:1]), (ALL, answers)):
        some = [answer.shares for answer in used]
        said = adjusted(orders[: len(some)], some) if all(some) else ()
        more = {"topic": topic, "group": group}
        out.append(
            scored(f"{name}/{group}", ENTROPY.name, used, lambda s=said: normalised_entropy(s),  # type: ignore[misc]
                   **more)
        )  # fmt: skip
        failed = any(answer.reason for answer in used)
        if len(row.get("shares") or ()) != len(row["choices"]) and not failed:
            reason = "no share of people for each choice was given"
            out.append(unscored(f"{name}/{group}", DISTANCE.name, reason, **more))
        else:
            out.append(
                scored(f"{name}/{group}", DISTANCE.name, used, lambda s=said: people(s), **more)  # type: ignore[misc]
            )
    return out
