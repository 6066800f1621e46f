"""Is a fact answered alike alone and inside a long answer: ``slaq``.

Islam et al. 2025, "The Curious Case of Factual (Mis)Alignment between LLMs' Short- and Long-Form
Answers", arXiv 2510.11218: alignment, accuracy by position, and momentum, the change of what
follows a right answer. Leaves out: features of circuits that predict it, and their questions.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from whyfirst.config.errors import DataError
from whyfirst.evaluate.audits.conditions import made_of, rows_of
from whyfirst.evaluate.benchmark import Metric, benchmark
from whyfirst.evaluate.gaps import Gap, momentum, paired_gaps
from whyfirst.evaluate.item import Item, ItemResult, limited
from whyfirst.evaluate.responses import Measure, Responses
from whyfirst.models.base import Completion, asked

ALONE, WITHIN = "alone", "within"
CORRECT = Metric("slaq_correct", "Facts right", "Mean score of facts asked alone, and within one "
                 "long question.", "score")  # fmt: skip
SAME = Metric("slaq_same", "Facts alike", "Share of facts that are right both alone and within, or "
              "wrong both times.")  # fmt: skip


def _gaps(items: Sequence[ItemResult]) -> list[Gap]:
    """Within against alone, and the momentum: right after a right one against after a wrong one."""
    correct = [item for item in items if item.benchmark == CORRECT.name]
    whole = [replace(item, split=None) for item in correct]
    # One text's facts, which follow each other; several texts may be about one topic.
    texts = [replace(i, topic=i.id.rpartition(":")[0]) for i in correct if i.group == WITHIN]
    within = sorted(texts, key=lambda item: item.id)
    return [*paired_gaps((WITHIN, ALONE))(whole), *momentum(within, CORRECT.name)]


@benchmark(
    "slaq",
    version="2",
    definition="Facts asked one by one, and all of a topic in one question.",
    needs="slaq.jsonl of topic and facts, a list of question and answer",
    metrics=(CORRECT, SAME),
    source="Islam et al. 2025 (arXiv 2510.11218)",
    questions=("correct",),
    by=("group", "split"),
    gaps=_gaps,
    example={"slaq.jsonl": '{"topic": "Paris", "facts": [{"question": "Which river?", "answer": '
             '"Seine"}, {"question": "Which tower?", "answer": "Eiffel"}]}\n'},
)  # fmt: skip
def slaq(*, data: Path, limit: int | None = None, max_new_tokens: int = 400) -> Responses:
    """Every fact alone and within its topic; the record's split is its position."""
    rows = rows_of(data, "slaq.jsonl", "slaq", ["topic"], objects=["facts"])
    items = []
    for row in limited(rows, limit, lambda row: str(row["id"])):
        texts = [fact.get("question") for fact in row["facts"]]
        if not all(isinstance(text, str) for text in texts):
            raise DataError(f"{data}: {row['id']}: a fact has no question")
        if not all(str(fact.get("answer") or "").strip() for fact in row["facts"]):
            raise DataError(f"{data}: {row['id']}: a fact has no answer to compare with")
        listed = "\n".join(f"{at}. {text}" for at, text in enumerate(texts, start=1))
        whole = f"Answer all of these questions about {row['topic']} in one text:\n{listed}"
        for at, fact in enumerate(row["facts"], start=1):
            for group, text in ((ALONE, fact["question"]), (WITHIN, whole)):
                about = {"topic": row["topic"], "group": group, "split": f"fact {at}"}
                items.append(Item(
                    f"{row['id']}:{at:02}/{group}", asked(text), fact["question"], about,
                    correct=(str(fact["answer"]),),
                ))  # fmt: skip
    measure = Measure(CORRECT, ("correct",), "overlap")
    return Responses(items, [measure], max_new_tokens, combine=_same)


def _same(records: list[ItemResult], completions: Sequence[Completion]) -> list[ItemResult]:
    """Each fact alone beside the same fact within."""
    by_id = {record.id: record for record in records}
    both = [(one, by_id[f"{one.id.removesuffix(ALONE)}{WITHIN}"])
            for one in records if one.group == ALONE]  # fmt: skip
    return [
        made_of(one.id.rpartition("/")[0], SAME.name, (one, other),
                lambda a=one, b=other: a.verdict == b.verdict,  # type: ignore[misc]
                topic=one.topic, split=one.split)
        for one, other in both
    ]  # fmt: skip
