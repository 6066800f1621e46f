"""Sets of logical questions in one form, averaged by kind of reasoning: ``logic_suite``.

LogiGLUE (Luo et al. 2023, "Towards LogiGLUE", arXiv 2310.00836): deductive, abductive and inductive
sets as one schema. A row's options are compared by likelihood; the macro average gives each kind,
however many its rows, the same weight. Leaves out: the 24 sets, and answers in free words
(`own_questions`).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from whyfirst.config.errors import DataError
from whyfirst.evaluate.audits.conditions import Answer, Ask, Shares, rows_of, scored
from whyfirst.evaluate.benchmark import Metric, benchmark
from whyfirst.evaluate.item import ItemResult, limited

RIGHT = Metric(
    "logic_suite", "Logic", "Share of questions whose right option is the likeliest.",
    beside=("logic_suite_macro",),
)  # fmt: skip
MACRO = Metric(
    "logic_suite_macro", "Logic (macro average)",
    "Mean over kinds of reasoning of the share of their questions that are right.", "score",
)  # fmt: skip
KINDS = ("deductive", "abductive", "inductive")


@benchmark(
    "logic_suite",
    version="1",
    definition="Logical questions with options in one form, by likelihood.",
    needs="logic.jsonl of context, question, options, answer (one of them) and kind "
    f"({', '.join(KINDS)})",
    metrics=(RIGHT, MACRO),
    source="Luo et al. 2023 (arXiv 2310.00836)",
    by=("group",),
    example={"logic.jsonl": '{"context": "Boats float.", "question": "Do boats float?", '
             '"options": ["yes", "no"], "answer": "yes", "kind": "deductive"}\n'},
)  # fmt: skip
def logic_suite(*, data: Path, limit: int | None = None) -> Shares:
    """Every question once."""
    texts = ["context", "question", "answer", "kind"]
    rows = rows_of(data, "logic.jsonl", "logic_suite", texts, ["options"])
    for row in rows:
        if row["kind"] not in KINDS or row["answer"] not in row["options"]:
            raise DataError(f"{data}: {row['id']}: 'answer' is no option, or 'kind' is none of "
                            f"{', '.join(KINDS)}")  # fmt: skip
    rows = limited(rows, limit, lambda row: str(row["id"]))
    asks = [Ask(r["id"], shown(r), tuple(f" {o}" for o in r["options"])) for r in rows]

    def records(answers: Mapping[str, Answer]) -> list[ItemResult]:
        found = [
            scored(row["id"], RIGHT.name, [answers[row["id"]]],
                   lambda r=row: _right(r, answers[r["id"]]),  # type: ignore[misc]
                   topic=row["topic"], group=row["kind"])
            for row in rows
        ]  # fmt: skip
        return found + macro(found, answers.values())

    return Shares(asks, [row["question"] for row in rows], records)


def shown(row: Mapping[str, Any]) -> str:
    """The text of a row."""
    options = ", ".join(row["options"])
    return f"{row['context']}\nQuestion: {row['question']}\nOptions: {options}\nAnswer:"


def _right(row: Mapping[str, Any], answer: Answer) -> float:
    best = max(answer.shares)
    likeliest = [o for o, share in zip(row["options"], answer.shares, strict=True) if share == best]
    return float(likeliest == [row["answer"]])


def macro(found: Sequence[ItemResult], answers: Any) -> list[ItemResult]:
    """One record a kind: the share of its scored questions that are right."""
    out = []
    for kind in dict.fromkeys(str(one.group) for one in found):
        own = [one for one in found if one.group == kind]
        right = [one.number for one in own if one.score is not None]
        failed = [Answer((), one.reason, bool(one.transient)) for one in own if one.reason]
        used = [] if right else failed[:1]
        out.append(
            scored(kind, MACRO.name, used, lambda r=right: sum(r) / len(r), topic=kind, group=kind)  # type: ignore[misc]
        )
    return out
