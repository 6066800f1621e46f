"""Survey answers with the letters' own pull taken out: ``survey``.

Dominguez-Olmedo et al. 2024, "Questioning the Survey Responses of Large Language Models", arXiv
2306.07951. Each question is asked in every order of its choices; what a letter gets goes back to
the choice that it stood for, by the inverse of the order (the authors' code applies the order
itself, which draws every answer towards uniform by 1 / (n - 1)). Leaves out: telling
model-filled questionnaires from a census by a classifier.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from whyfirst.config.errors import DataError
from whyfirst.data.published import shares_in
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
from whyfirst.evaluate.gaps import paired_gaps
from whyfirst.evaluate.item import ItemResult, limited
from whyfirst.evaluate.orders import some_orders
from whyfirst.stats.shares import adjusted, normalised_entropy, total_variation

FIRST = Metric("survey_first_slot", "Survey: first letter", "Mean probability of the first letter "
               "over all orders of a question's choices; 1 / n of n choices without a bias, which "
               "is what the A-bias is counted from.", "score", neutral=True)  # fmt: skip
ENTROPY = Metric("survey_entropy", "Survey: entropy", "Mean entropy of the answer over its "
                 "greatest, as asked once and over all orders.", "score", neutral=True)  # fmt: skip
DISTANCE = Metric("survey_distance", "Survey: distance to people", "Mean total variation distance "
                  "of the answer from people's shares.", "score",
                  higher_is_better=False)  # fmt: skip
ONCE, ALL = "as asked", "all orders"
_NO_PEOPLE = "no share of people for each choice was given"


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
    for row in rows:
        row["letters"] = letters_of(f"{data}: {row['id']}", row["choices"])
        row["orders"] = some_orders(len(row["choices"]), orders, str(row["id"]))
        if isinstance(row.get("shares"), list) and row["shares"]:
            named = {str(at): share for at, share in enumerate(row["shares"], start=1)}
            shares_in(f"{data}: {row['id']}: 'shares'", named)
        elif row.get("shares"):
            raise DataError(f"{data}: {row['id']}: 'shares' is no list of numbers")
    return by_rows(rows, _asks, _read, lambda row: str(row["question"]))


def _asks(row: dict[str, Any]) -> Iterable[Ask]:
    letters = row["letters"]
    for at, order in enumerate(row["orders"]):
        each = zip(letters, order, strict=True)
        shown = "\n".join(f"{letter}. {row['choices'][choice]}" for letter, choice in each)
        text = f"Question: {row['question']}\n{shown}\nAnswer:"
        yield Ask(f"{row['id']}/{at}", text, tuple(f" {letter}" for letter in letters))


def _read(row: dict[str, Any], answers: Sequence[Answer]) -> Iterable[ItemResult]:
    shares = [answer.shares for answer in answers]
    name, topic = str(row["id"]), row["topic"]
    people: list[float] = row.get("shares") or []
    yield scored(name, FIRST.name, answers, lambda: sum(s[0] for s in shares) / len(shares),
                 topic=topic)  # fmt: skip
    for group, used in ((ONCE, answers[:1]), (ALL, answers)):
        some, at, more = shares[: len(used)], f"{name}/{group}", {"topic": topic, "group": group}
        said = adjusted(row["orders"][: len(used)], some) if all(some) else ()
        yield scored(at, ENTROPY.name, used, lambda s=said: normalised_entropy(s), **more)  # type: ignore[misc]
        lacks = None if len(people) == len(row["choices"]) else _NO_PEOPLE
        yield scored(at, DISTANCE.name, [*used, Answer((), lacks)],
                     lambda s=said: total_variation(s, people), **more)  # type: ignore[misc]  # fmt: skip
