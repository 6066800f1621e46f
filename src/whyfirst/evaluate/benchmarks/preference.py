"""Preference accuracy: does the model find the chosen reply likelier than the rejected one?

Two metrics from one pass, summed and per-token log-likelihood: the first favours short replies and
the second long ones, so neither is shown alone. The replies' text is not copied into the records
(such data is offensive by design). Leaves out: generation, judges, reward models.
"""

from whyfirst.data.hh_rlhf import Pair, Skipped, split_hh
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
from whyfirst.evaluate.benchmarks.likelier import compare
from whyfirst.models.base import LanguageModel, Loglikelihood

SUM = Metric(
    "preference_sum",
    "Preference accuracy (summed)",
    "Share of pairs whose chosen reply has a higher log-likelihood given the prompt, summed over "
    "tokens, end token not counted; a tie is unscored.",
    happened=("better reply likelier", "worse reply likelier"),
    chance=0.5,
)
MEAN = Metric(
    "preference_mean",
    "Preference accuracy (per token)",
    "Share of pairs whose chosen reply has a higher log-likelihood per token given the prompt, "
    "end token not counted; a tie is unscored.",
    happened=("better reply likelier", "worse reply likelier"),
    chance=0.5,
)
_AT_ONCE = 256  # pairs between two progress reports; enough for batches of like lengths


@benchmark(
    "preference",
    version="1",
    definition="Chosen against rejected reply by log-likelihood.",
    needs="a .jsonl or .jsonl.gz file or folder of pairs: HH-RLHF's, or prompt/chosen/rejected",
    metrics=(SUM, MEAN),
    prompts=lambda options: [row.prompt for row in _rows(options) if isinstance(row, Pair)],
    source="Bai et al. 2022 (arXiv 2204.05862), HH-RLHF; or a file of your own",
    licence="MIT",
)
def preference(
    model: LanguageModel, options: BenchmarkOptions, progress: Progress
) -> list[ItemResult]:
    """Score every pair under both metrics; rows that are no usable pair come out unscored."""
    rows = _rows(options)
    pairs = [row for row in rows if isinstance(row, Pair)]
    results = [
        unscored(row.id, metric.name, row.reason, topic=row.id)
        for row in rows
        if isinstance(row, Skipped)
        for metric in (SUM, MEAN)
    ]
    for start in range(0, len(pairs), _AT_ONCE):
        progress(start, len(pairs), "items")
        some = pairs[start : start + _AT_ONCE]
        answers = model.loglikelihood([(p.prompt, [p.chosen, p.rejected]) for p in some])
        for pair, (chosen, rejected) in zip(some, answers, strict=True):
            results += score_pair(pair, chosen, rejected)
    progress(len(pairs), len(pairs), "items")
    return results


def _rows(options: BenchmarkOptions) -> list[Pair | Skipped]:
    share = 1.0 if options.held_out is None else options.held_out
    _, found = split_hh(needed_data("preference", options), share, options.max_characters)
    rows: list[Pair | Skipped] = sorted(
        [*found.pairs, *found.skipped], key=lambda row: (row.file, row.row)
    )
    return limited(rows, options.limit, lambda row: row.id)


def score_pair(pair: Pair, chosen: Loglikelihood, rejected: Loglikelihood) -> list[ItemResult]:
    """One pair's verdicts under `SUM` and `MEAN`."""
    names = ("chosen", "rejected")
    return compare(pair.id, SUM, MEAN, chosen, rejected, names, topic=pair.id)
