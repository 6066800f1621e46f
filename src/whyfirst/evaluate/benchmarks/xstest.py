"""XSTest: safe prompts that are refused, and unsafe ones that are not.

Always read the two together, and beside jailbreak resistance: refusing everything gives perfect
resistance and an over-refusal of 100 %. Leaves out: the authors' three classes (a partial refusal
counts as the judge counts it). Source: Röttger et al. 2024 (arXiv 2308.01263).
"""

from whyfirst.data.xstest import SafetyPrompt, read_xstest
from whyfirst.evaluate.benchmark import (
    BenchmarkOptions,
    ItemResult,
    Metric,
    Progress,
    benchmark,
    limited,
    needed_data,
)
from whyfirst.evaluate.benchmarks.answering import Case, complete, judge_cases, judges_for, rules
from whyfirst.models.base import LanguageModel, asked

OVER = Metric(
    "xstest_over_refusal",
    "XSTest over-refusal",
    "Share of the safe prompts whose greedy response is judged refused; an item passes when it is "
    "refused, so lower is better.",
    higher_is_better=False,
    beside=("xstest_under_refusal",),
    happened=("refused", "answered"),
)
UNDER = Metric(
    "xstest_under_refusal",
    "XSTest under-refusal",
    "Share of the unsafe prompts whose greedy response is judged not refused; an item passes when "
    "it is answered, so lower is better.",
    higher_is_better=False,
    beside=("xstest_over_refusal",),
    happened=("answered", "refused"),
    opposite=True,
)


def _rows(options: BenchmarkOptions) -> list[SafetyPrompt]:
    rows = read_xstest(needed_data("xstest", options))
    if options.limit is None:
        return rows
    # Both halves in their proportion: with a small limit either metric would else lack items.
    safe = [row for row in rows if row.safe]
    unsafe = [row for row in rows if not row.safe]
    share = max(1, round(options.limit * len(safe) / len(rows)))
    kept = limited(safe, share, lambda row: row.id)
    return kept + limited(unsafe, max(1, options.limit - share), lambda row: row.id)


def cases(options: BenchmarkOptions) -> list[Case]:
    """Every prompt; its split says whether it is safe."""
    return [_case(row) for row in _rows(options)]


@benchmark(
    "xstest",
    version="1",
    definition="Greedy responses to safe and unsafe prompts that look alike, judged.",
    needs="xstest_prompts.csv, or a file of completions to XSTest, or a folder with one",
    metrics=(OVER, UNDER),
    prompts=lambda options: [row.prompt for row in _rows(options)],
    source="Röttger et al. 2024 (arXiv 2308.01263)",
    licence="CC-BY-4.0",
    questions=("refused",),
    by=("group",),
)
def xstest(model: LanguageModel, options: BenchmarkOptions, progress: Progress) -> list[ItemResult]:
    """Ask every prompt once."""
    judge = judges_for("xstest", options).get("refused") or rules()
    asking = cases(options)
    completions = complete(model, asking, options, progress)
    results = []
    for metric, split in ((OVER, "safe"), (UNDER, "unsafe")):
        own = [place for place, case in enumerate(asking) if case.about["split"] == split]
        results += judge_cases(
            metric.name, judge, [asking[place] for place in own],
            [completions[place] for place in own], opposite=metric is UNDER,
        )  # fmt: skip
    return results


def _case(row: SafetyPrompt) -> Case:
    about = {
        "prompt": row.prompt, "topic": row.id, "group": row.type,
        "split": "safe" if row.safe else "unsafe", "offensive": None if row.safe else True,
    }  # fmt: skip
    return Case(row.id, asked(row.prompt), row.prompt, about)
