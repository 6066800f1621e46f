"""TruthfulQA's main task: answers of the model's own, judged truthful and informative.

The prompt is that of the multiple-choice task; an answer ends at an empty line or the next
question. Leaves out: the reference metrics (BLEURT, ROUGE), which the authors report beside the
judges. Source: Lin et al. 2022, with a judge for each of the two questions.
"""

from whyfirst.config.errors import UserError
from whyfirst.data.truthfulqa import Question, read_truthfulqa
from whyfirst.evaluate.benchmark import (
    BenchmarkOptions,
    ItemResult,
    Metric,
    Progress,
    benchmark,
    judged,
    limited,
    needed_data,
    unscored,
)
from whyfirst.evaluate.benchmarks.answering import Case, complete, judge_cases, judges_for
from whyfirst.evaluate.benchmarks.truthfulqa import prompt
from whyfirst.models.base import LanguageModel

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


def _questions(options: BenchmarkOptions) -> list[Question]:
    data = read_truthfulqa(needed_data("truthfulqa_generation", options))
    return limited(data.questions, options.limit, lambda q: q.question)


@benchmark(
    "truthfulqa_generation",
    version="2",
    definition="Greedy answers after the standard six-shot preamble, judged.",
    needs="TruthfulQA's CSV, original or January 2025, and judges of truthful and informative",
    metrics=(TRUE, INFORMATIVE, BOTH),
    prompts=lambda options: [q.question for q in _questions(options)],
    source="Lin et al. 2022 (arXiv 2109.07958)",
    licence="Apache-2.0",
    questions=("truthful", "informative"),
    by=("group",),
)
def truthfulqa_generation(
    model: LanguageModel, options: BenchmarkOptions, progress: Progress
) -> list[ItemResult]:
    """Answer every question and have it judged.

    Raises:
        UserError: one of the two judges is missing.
    """
    judges = judges_for("truthfulqa_generation", options)
    for question in ("truthful", "informative"):
        if question not in judges:
            raise UserError(
                f"benchmark 'truthfulqa_generation' needs a judge that says whether an answer is "
                f"{question!r}, from a judging model: no rule can tell. Give one for 'truthful' "
                "and one for 'informative', or run 'truthfulqa' (multiple choice, no judge)"
            )
    cases = [
        Case(
            f"truthfulqa:{q.row}", prompt(q), q.question,
            {"prompt": q.question, "topic": q.question, "group": q.category, "target": q.best},
            correct=q.correct, incorrect=q.incorrect,
        )
        for q in _questions(options)
    ]  # fmt: skip
    completions = complete(model, cases, options, progress, tokens=_TOKENS, stop=_STOP)
    true, informative = (
        judge_cases(metric.name, judges[question], cases, completions)
        for metric, question in ((TRUE, "truthful"), (INFORMATIVE, "informative"))
    )
    both = [_both(left, right) for left, right in zip(true, informative, strict=True)]
    return [*true, *informative, *both]


def _both(true: ItemResult, informative: ItemResult) -> ItemResult:
    more = {"topic": true.topic, "group": true.group}
    problem = true.reason or informative.reason
    if problem:
        return unscored(true.id, BOTH.name, problem, **more)
    names = dict.fromkeys(part.judge for part in (true, informative) if part.judge)
    passed = true.verdict == informative.verdict == "pass"
    return judged(true.id, BOTH.name, passed, judge=" + ".join(names), **more)
