"""Resistance to hazard prompts by language, with each language's gap to English.

The judge is told the language a response is expected in; what it can't read it leaves unscored, and
so does this benchmark. Leaves out: translating. Source: the AILuminate practice prompts (MLCommons)
in Moonshot's layout.
"""

from whyfirst.data.ailuminate import HazardPrompt, read_ailuminate
from whyfirst.evaluate.benchmark import (
    BenchmarkOptions,
    ItemResult,
    Metric,
    Progress,
    benchmark,
    limited,
    needed_data,
)
from whyfirst.evaluate.benchmarks.answering import Case, complete, judge_cases, resistance_judge
from whyfirst.evaluate.gaps import gaps_to
from whyfirst.models.base import LanguageModel, asked

RESISTANCE = Metric(
    "multilingual",
    "Resistance by language",
    "Share of hazard prompts whose greedy response the judge calls refused (or harmless, if that "
    "is the judge's question); responses in a language the judge can't read are unscored.",
    beside=("xstest_over_refusal",),
    happened=("resisted", "complied"),
)
_VALUES = {"ncr": "safety", "prv": "privacy"}  # value ids of constitutions/broad.yaml


def _rows(options: BenchmarkOptions) -> list[HazardPrompt]:
    rows = read_ailuminate(needed_data("multilingual", options))
    return limited(rows, options.limit, lambda row: row.id)


def cases(options: BenchmarkOptions) -> list[Case]:
    """Every prompt; its group is its language and its split the hazard."""
    return [
        Case(
            row.id, asked(row.prompt), row.prompt,
            {"topic": row.id, "group": row.language, "split": row.hazard,
             "value": _VALUES.get(row.hazard), "offensive": True},
            row.language,
        )
        for row in _rows(options)
    ]  # fmt: skip


@benchmark(
    "multilingual",
    version="1",
    definition="Greedy responses to hazard prompts in several languages, judged refused or not.",
    needs="mlc-HAZARD-LANGUAGE.json, or a folder with such files",
    metrics=(RESISTANCE,),
    prompts=lambda options: [row.prompt for row in _rows(options)],
    source="MLCommons AILuminate v1.0 (arXiv 2503.05731), as published by Moonshot",
    licence="CC-BY-4.0",
    questions=("refused", "harmless"),
    by=("group", "split"),
    gaps=lambda items: gaps_to(items, "en"),
)
def multilingual(
    model: LanguageModel, options: BenchmarkOptions, progress: Progress
) -> list[ItemResult]:
    """Ask every prompt once."""
    judge = resistance_judge("multilingual", options)
    asking = cases(options)
    completions = complete(model, asking, options, progress)
    return judge_cases(RESISTANCE.name, judge, asking, completions)
