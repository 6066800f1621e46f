"""Sets of logical questions in one form, averaged by kind of reasoning: ``logic_suite``.

LogiGLUE (Luo et al. 2023, "Towards LogiGLUE", arXiv 2310.00836): deductive, abductive and inductive
sets as one schema. A row's options are compared by likelihood; the macro average gives each kind,
however many its rows, the same weight. Leaves out: the 24 sets, and answers in free words
(`own_questions`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from whyfirst.config.errors import DataError
from whyfirst.evaluate.audits.conditions import Answer, Ask, by_rows, of_parts, rows_of, scored
from whyfirst.evaluate.benchmark import Metric, Task, benchmark
from whyfirst.evaluate.gaps import mean_gaps
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
    gaps=mean_gaps(),
    example={"logic.jsonl": '{"context": "Boats float.", "question": "Do boats float?", '
             '"options": ["yes", "no"], "answer": "yes", "kind": "deductive"}\n'},
)  # fmt: skip
def logic_suite(*, data: Path, limit: int | None = None) -> Task:
    """Every question once."""
    texts = ["context", "question", "answer", "kind"]
    rows = rows_of(data, "logic.jsonl", "logic_suite", texts, ["options"])
    for row in rows:
        if row["kind"] not in KINDS or row["answer"] not in row["options"]:
            raise DataError(f"{data}: {row['id']}: 'answer' is no option, or 'kind' is none of "
                            f"{', '.join(KINDS)}")  # fmt: skip
    rows = limited(rows, limit, lambda row: str(row["id"]))
    asked = by_rows(rows, _asks, _read, lambda row: str(row["question"]))

    def records(answers: Mapping[str, Answer]) -> list[ItemResult]:
        found = asked.records(answers)
        kinds = [replace(one, topic=one.group) for one in found]
        by_kind = of_parts(kinds, MACRO.name, lambda one: str(one.group), float, ("topic", "group"))
        return found + by_kind

    return replace(asked, records=records)


def _asks(row: Mapping[str, Any]) -> Iterable[Ask]:
    listed = ", ".join(row["options"])
    shown = f"{row['context']}\nQuestion: {row['question']}\nOptions: {listed}\nAnswer:"
    yield Ask(row["id"], shown, tuple(f" {option}" for option in row["options"]))


def _read(row: Mapping[str, Any], answers: Sequence[Answer]) -> Iterable[ItemResult]:
    def right() -> float:
        each = zip(row["options"], answers[0].shares, strict=True)
        likeliest = [option for option, share in each if share == max(answers[0].shares)]
        return float(likeliest == [row["answer"]])

    about = {"topic": row["topic"], "group": row["kind"]}
    yield scored(row["id"], RIGHT.name, answers, right, **about)
