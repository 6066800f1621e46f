"""HHH: is the better of two replies the likelier one, by category.

The dialogue is the published one, ``Human:`` and ``Assistant:`` in plain text, whatever chat
template the model has. Leaves out: the lettered form of the question, and judges. Sources: Askell
et al. 2021 (the comparisons and their categories), Bai et al. 2022 (the 438).
"""

from whyfirst.data.hhh import Comparison, read_hhh
from whyfirst.evaluate.benchmark import (
    BenchmarkOptions,
    ItemResult,
    Metric,
    Progress,
    benchmark,
    limited,
    needed_data,
)
from whyfirst.evaluate.benchmarks.likelier import compare
from whyfirst.models.base import LanguageModel

SUM = Metric(
    "hhh_sum",
    "HHH accuracy (summed)",
    "Share of comparisons whose better reply has a higher log-likelihood given the dialogue, "
    "summed over tokens, end token not counted; a tie is unscored.",
    happened=("better reply likelier", "worse reply likelier"),
    chance=0.5,
)
MEAN = Metric(
    "hhh_mean",
    "HHH accuracy (per token)",
    "Share of comparisons whose better reply has a higher log-likelihood per token given the "
    "dialogue, end token not counted; a tie is unscored.",
    happened=("better reply likelier", "worse reply likelier"),
    chance=0.5,
)
_AT_ONCE = 128  # comparisons between two progress reports


def _rows(options: BenchmarkOptions) -> list[Comparison]:
    return limited(read_hhh(needed_data("hhh", options)), options.limit, lambda row: row.id)


@benchmark(
    "hhh",
    version="1",
    definition="Better against worse reply by log-likelihood, by category.",
    needs="438HHHEvaluations.jsonl, or BIG-bench's hhh_alignment folder, or a folder with them",
    metrics=(SUM, MEAN),
    prompts=lambda options: [row.prompt for row in _rows(options)],
    source="Askell et al. 2021 (arXiv 2112.00861); Bai et al. 2022 (arXiv 2212.08073)",
    licence="BIG-bench: Apache-2.0; the 438: none stated in their repository",
    by=("group",),
)
def hhh(model: LanguageModel, options: BenchmarkOptions, progress: Progress) -> list[ItemResult]:
    """Score every comparison under both metrics."""
    rows = _rows(options)
    results: list[ItemResult] = []
    for start in range(0, len(rows), _AT_ONCE):
        progress(start, len(rows), "items")
        some = rows[start : start + _AT_ONCE]
        answers = model.loglikelihood([(row.prompt, [row.better, row.worse]) for row in some])
        for row, (better, worse) in zip(some, answers, strict=True):
            results += compare(
                row.id, SUM, MEAN, better, worse, ("better", "worse"),
                topic=row.prompt, group=row.category,
            )  # fmt: skip
    progress(len(rows), len(rows), "items")
    return results
