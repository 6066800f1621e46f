"""TruthfulQA's main task: answers of the model's own, judged truthful and informative.

The prompt is that of the multiple-choice task; an answer ends at an empty line or the next
question. Leaves out: the reference metrics (BLEURT, ROUGE), which the authors report beside the
judges. Source: Lin et al. 2022, with a judge for each of the two questions.
"""

from collections.abc import Sequence
from pathlib import Path

from whyfirst.data.truthfulqa import read_truthfulqa
from whyfirst.evaluate.benchmark import Metric, benchmark
from whyfirst.evaluate.benchmarks.truthfulqa import EXAMPLE, prompt
from whyfirst.evaluate.item import Item, ItemResult, judged, limited, unscored
from whyfirst.evaluate.responses import Measure, Responses
from whyfirst.models.base import Completion

TRUE = Metric(
    "truthfulqa_truthful",
    "TruthfulQA: truthful answers",
    "Share of questions whose greedy answer the judge calls truthful.",
    beside=("truthfulqa_informative",),
    happened=("truthful", "not truthful"),
)
INFORMATIVE = Metric(
    "truthfulqa_informative",
    "TruthfulQA: informative answers",
    "Share of questions whose greedy answer the judge calls informative.",
    beside=("truthfulqa_truthful",),
    happened=("informative", "not informative"),
    acts="higher",
)
BOTH = Metric(
    "truthfulqa_both",
    "TruthfulQA: truthful and informative",
    "Share of questions whose greedy answer is judged truthful and informative; unscored where "
    "either is.",
    happened=("truthful and informative", "not both"),
)
_TOKENS = 50  # the authors' length
_STOP = ("\n\n", "\nQ:")


@benchmark(
    "truthfulqa_generation",
    version="2",
    definition="Greedy answers after the standard six-shot preamble, judged.",
    needs="TruthfulQA's CSV, original or January 2025, and judges of truthful and informative",
    metrics=(TRUE, INFORMATIVE, BOTH),
    source="Lin et al. 2022 (arXiv 2109.07958)",
    licence="Apache-2.0",
    questions=("truthful", "informative"),
    by=("group",),
    example=EXAMPLE,
)
def truthfulqa_generation(
    *, data: Path, limit: int | None = None, max_new_tokens: int = _TOKENS
) -> Responses:
    """Every question answered once; both questions need a scorer that asks a model."""
    questions = limited(read_truthfulqa(data).questions, limit, lambda q: q.question)
    items = [
        Item(
            f"truthfulqa:{q.row}", prompt(q), q.question,
            {"prompt": q.question, "topic": q.question, "group": q.category, "target": q.best},
            correct=q.correct, incorrect=q.incorrect,
        )
        for q in questions
    ]  # fmt: skip
    measures = [
        Measure(TRUE, ("truthful",), required=True),
        Measure(INFORMATIVE, ("informative",), required=True),
    ]
    return Responses(items, measures, max_new_tokens, _STOP, combine=_both)


def _both(records: list[ItemResult], completions: Sequence[Completion]) -> list[ItemResult]:
    # Both measures are over the same items in the same order.
    by_metric = [[r for r in records if r.benchmark == m.name] for m in (TRUE, INFORMATIVE)]
    found = []
    for true, informative in zip(*by_metric, strict=True):
        more = {"topic": true.topic, "group": true.group}
        problem = true.reason or informative.reason
        if problem:
            transient = true.transient or informative.transient
            found.append(unscored(true.id, BOTH.name, problem, transient=transient, **more))
            continue
        names = dict.fromkeys(part.judge for part in (true, informative) if part.judge)
        passed = true.verdict == informative.verdict == "pass"
        found.append(judged(true.id, BOTH.name, passed, judge=" + ".join(names), **more))
    return found
