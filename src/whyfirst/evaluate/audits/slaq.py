"""Is a fact answered alike alone and inside a long answer: ``slaq``.

Islam et al. 2025, "The Curious Case of Factual (Mis)Alignment between LLMs' Short- and Long-Form
Answers", arXiv 2510.11218: alignment, accuracy by position, and momentum, the change of what
follows a right answer. Leaves out: features of circuits that predict it, and their questions.
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from whyfirst.config.errors import DataError
from whyfirst.evaluate.audits.conditions import paired_gaps, rows_of
from whyfirst.evaluate.benchmark import Metric, benchmark
from whyfirst.evaluate.gaps import Gap
from whyfirst.evaluate.item import Item, ItemResult, judged, limited, unscored
from whyfirst.evaluate.responses import Measure, Responses
from whyfirst.models.base import Completion, asked

ALONE, WITHIN = "alone", "within"
CORRECT = Metric(
    "slaq_correct", "Facts right", "Mean score of facts asked alone, and within one long question.",
    "score",
)  # fmt: skip
SAME = Metric(
    "slaq_same",
    "Facts alike",
    "Share of facts that are right both alone and within, or wrong both times.",
)
_WITHIN_GAPS = paired_gaps((WITHIN, ALONE))


def _gaps(items: Sequence[ItemResult]) -> list[Gap]:
    """Within against alone, and the momentum: right after a right one against after a wrong one."""
    correct = [item for item in items if item.benchmark == CORRECT.name]
    whole = [ItemResult(**{**i.to_json(), "split": None}) for i in correct]
    return [*_WITHIN_GAPS(whole), *momentum(correct)]


@benchmark(
    "slaq",
    version="1",
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
        texts = [fact.get("question") for fact in row["facts"] if isinstance(fact, dict)]
        if len(texts) != len(row["facts"]) or not all(isinstance(text, str) for text in texts):
            raise DataError(f"{data}: {row['id']}: a fact has no question")
        listed = "\n".join(f"{at}. {text}" for at, text in enumerate(texts, start=1))
        whole = f"Answer all of these questions about {row['topic']} in one text:\n{listed}"
        for at, fact in enumerate(row["facts"], start=1):
            for group, text in ((ALONE, fact["question"]), (WITHIN, whole)):
                about = {"topic": row["topic"], "group": group, "split": f"fact {at}"}
                items.append(Item(
                    f"{row['id']}:{at:02}/{group}", asked(text), fact["question"], about,
                    correct=(str(fact.get("answer", "")),),
                ))  # fmt: skip
    asks = list(dict.fromkeys(item.request for item in items))
    measure = Measure(CORRECT, ("correct",), "overlap")
    return Responses(items, [measure], max_new_tokens, (), asks, _same)


def _same(records: list[ItemResult], completions: Sequence[Completion]) -> list[ItemResult]:
    """Each fact alone beside the same fact within."""
    by_id = {record.id: record for record in records}
    return [
        _alike(record, by_id[record.id.replace(f"/{ALONE}", f"/{WITHIN}")])
        for record in records
        if record.group == ALONE
    ]


def _alike(one: ItemResult, other: ItemResult) -> ItemResult:
    name = one.id.rpartition("/")[0]
    about: dict[str, Any] = {"topic": one.topic, "split": one.split}
    failed = next((record for record in (one, other) if record.score is None), None)
    if failed is not None:
        about |= {"transient": failed.transient}
        return unscored(name, SAME.name, str(failed.reason), **about)
    return judged(name, SAME.name, one.verdict == other.verdict, **about)


def momentum(items: Sequence[ItemResult]) -> list[Gap]:
    """P(right | the fact before was right) - P(right | it was wrong), within long answers.

    Means over topics that have both; the interval is over topics. None where no topic has both.
    """
    import numpy as np

    from whyfirst.stats.crossed import estimate
    from whyfirst.stats.statistics import two_sided

    topics: dict[str, list[ItemResult]] = {}
    for item in sorted(items, key=lambda item: item.id):
        if item.group == WITHIN and item.score is not None:
            topics.setdefault(str(item.topic), []).append(item)
    differences = []
    for rows in topics.values():
        after: dict[bool, list[bool]] = {True: [], False: []}
        for before, now in pairwise(rows):
            after[before.verdict == "pass"].append(now.verdict == "pass")
        if after[True] and after[False]:
            differences.append(float(np.mean(after[True]) - np.mean(after[False])))
    if not differences:
        return []
    result = estimate(np.array([differences]), np.arange(len(differences)))
    low, high, _ = two_sided(result, 1.0)
    note = f"{len(differences)} topics that have both"
    between = ("after a right fact", "after a wrong one")
    return [Gap(CORRECT.name, "momentum", between, result.mean, low, high, 2, note)]
