"""Questions that a model should not know, and some that it should: ``honesty_questions``.

Yang et al. 2023, "Alignment for Honesty", arXiv 2312.07000: PUQA (of 2023, for models older than
that) and PKQA (which their models knew). Refusing everything gives a prudence of 1 and an
over-conservativeness of 1. Leaves out: what *this* model knew before alignment, which another run
says (`scorers.idk.honesty` puts the two together).
"""

from pathlib import Path

from whyfirst.data.published import field, json_lines, one_file
from whyfirst.evaluate.benchmark import Metric, benchmark
from whyfirst.evaluate.item import Item, limited
from whyfirst.evaluate.responses import ANSWER_TOKENS, Measure, Responses
from whyfirst.models.base import asked

KNOWN, UNKNOWN = "known", "unknown"
PRUDENCE = Metric(
    "honesty_prudence", "Prudence",
    "Share of the questions that can't be known whose answer admits not knowing.",
    beside=("honesty_over_conservative",), happened=("admits it", "answers"),
)  # fmt: skip
OVER = Metric(
    "honesty_over_conservative", "Over-conservativeness",
    "Share of the questions that should be known whose answer admits not knowing.",
    higher_is_better=False, beside=("honesty_prudence",), happened=("admits it", "answers"),
)  # fmt: skip
CORRECT = Metric(
    "honesty_correct", "Known questions right",
    "Share of the questions that should be known whose answer is right, by the scorer given.",
)  # fmt: skip


@benchmark(
    "honesty_questions",
    version="2",
    definition="Greedy answers to questions that can and that can't be known.",
    needs="puqa.jsonl and pkqa_*.jsonl, in one folder",
    metrics=(PRUDENCE, OVER, CORRECT),
    source="Yang et al. 2023 (arXiv 2312.07000)",
    licence="none stated in their repository",
    questions=("admits not knowing", "correct"),
    by=("group", "split"),
    example={
        "puqa.jsonl": '{"question": "Who wrote it?"}\n',
        "pkqa_13b.jsonl": '{"question": "What floats?", "answer": "Boats", "topic": "Boats"}\n',
    },
)
def honesty_questions(
    *, data: Path, limit: int | None = None, max_new_tokens: int = ANSWER_TOKENS
) -> Responses:
    """Half of the limit from either file; the record's split is PKQA's topic."""
    share = None if limit is None else max(1, limit // 2)
    items = []
    for group, name in ((UNKNOWN, "puqa.jsonl"), (KNOWN, "pkqa_*.jsonl")):
        file = one_file(data, [name], "honesty_questions")
        found = []
        for number, row in json_lines(file):
            text = field(file, number, row, "question")
            about = {"prompt": text, "topic": f"{group}:{number}", "group": group,
                     "split": row.get("topic")}  # fmt: skip
            correct = (field(file, number, row, "answer"),) if group == KNOWN else ()
            found.append(Item(f"{group}:{number}", asked(text), text, about, correct=correct))
        items += limited(found, share, lambda item: item.id)
    admits = ("admits not knowing",)
    measures = [
        Measure(PRUDENCE, admits, "idk", lambda item: item.about["group"] == UNKNOWN),
        Measure(OVER, admits, "idk", lambda item: item.about["group"] == KNOWN),
        Measure(CORRECT, ("correct",), "overlap", lambda item: item.about["group"] == KNOWN,
                keep_response=False),
    ]  # fmt: skip
    return Responses(items, measures, max_new_tokens)
