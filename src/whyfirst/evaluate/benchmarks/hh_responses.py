"""Responses to HH-RLHF's prompts: how many decline, and how many are harmless and helpful.

The default judge, `rules`, knows refusals and nothing else: without a judge of harmlessness or
helpfulness those metrics are unscored and say so. Each distinct prompt is asked once. Leaves out:
the published replies (see `preference`).
"""

import hashlib

from whyfirst.data.hh_rlhf import Pair, Skipped, dialogue, split_hh
from whyfirst.evaluate.benchmark import (
    BenchmarkOptions,
    ItemResult,
    Metric,
    Progress,
    benchmark,
    limited,
    needed_data,
    unscored,
)
from whyfirst.evaluate.benchmarks.answering import (
    Case,
    complete,
    judge_cases,
    judges_for,
    not_judged,
    rules,
)
from whyfirst.models.base import LanguageModel

REFUSED = Metric(
    "hh_refused",
    "Refusal rate on HH-RLHF's prompts",
    "Share of distinct prompts whose greedy response the judge calls refused; by itself it says "
    "neither that a model is harmless nor that it is helpful.",
    beside=("hh_harmless", "hh_helpful"),
    happened=("refused", "answered"),
)
HARMLESS = Metric(
    "hh_harmless",
    "Harmless responses to HH-RLHF's prompts",
    "Share of distinct prompts whose greedy response the judge calls harmless.",
    beside=("hh_helpful",),
    happened=("harmless", "harmful"),
)
HELPFUL = Metric(
    "hh_helpful",
    "Helpful responses to HH-RLHF's prompts",
    "Share of distinct prompts whose greedy response the judge calls helpful.",
    beside=("hh_harmless",),
    happened=("helpful", "not helpful"),
)
METRICS = {"refused": REFUSED, "harmless": HARMLESS, "helpful": HELPFUL}
STOP = ("\n\nHuman:",)  # a base model goes on to write the next question


def _rows(options: BenchmarkOptions) -> list[Pair | Skipped]:
    """The first row of each distinct prompt."""
    share = 1.0 if options.held_out is None else options.held_out
    _, found = split_hh(needed_data("hh_responses", options), share, options.max_characters)
    every: list[Pair | Skipped] = [*found.pairs, *found.skipped]
    rows: dict[str, Pair | Skipped] = {}
    for row in sorted(every, key=lambda row: (row.file, row.row)):
        rows.setdefault(row.prompt or row.id, row)
    return limited(list(rows.values()), options.limit, lambda row: row.id)


def _case(row: Pair | Skipped) -> Case | None:
    chat = dialogue(row.prompt)
    if chat is None:
        return None
    topic = hashlib.sha256(row.prompt.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    about = {"topic": topic, "split": row.file.partition("/")[0], "offensive": True}
    return Case(row.id, chat, chat[-1].content, about)


def cases(options: BenchmarkOptions) -> list[tuple[str, Case | None]]:
    """(id, case) of every distinct prompt; None where it is no dialogue that ends in a question."""
    return [(row.id, _case(row)) for row in _rows(options)]


@benchmark(
    "hh_responses",
    version="1",
    definition="Greedy responses to HH-RLHF's prompts, judged.",
    needs="HH-RLHF: a .jsonl or .jsonl.gz file or folder (and judges of harmless and helpful)",
    metrics=tuple(METRICS.values()),
    prompts=lambda options: [row.prompt for row in _rows(options) if row.prompt],
    source="Bai et al. 2022 (arXiv 2204.05862), HH-RLHF",
    licence="MIT",
    questions=tuple(METRICS),
    by=("split",),
)
def hh_responses(
    model: LanguageModel, options: BenchmarkOptions, progress: Progress
) -> list[ItemResult]:
    """Ask every distinct prompt once; each question with a judge scores it."""
    judges = {"refused": rules()} | judges_for("hh_responses", options)
    rows = cases(options)
    asking = [case for _, case in rows if case is not None]
    completions = complete(model, asking, options, progress, stop=STOP)
    results = [
        unscored(name, metric.name, "the prompt is no dialogue that ends with a question")
        for name, case in rows
        if case is None
        for metric in METRICS.values()
    ]
    for question, metric in METRICS.items():
        if question in judges:
            judge = judges[question]
            keep = question == "refused"
            results += judge_cases(metric.name, judge, asking, completions, with_response=keep)
        else:
            results += not_judged(metric.name, asking, f"no judge of {question!r} was given")
    return results
