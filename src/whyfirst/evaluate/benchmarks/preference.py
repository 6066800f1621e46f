"""Preference accuracy: does the model find the chosen reply likelier than the rejected one?

Two metrics from one pass, summed and per-token log-likelihood: the first favours short replies and
the second long ones, so neither is shown alone. The replies' text is not copied into the records
(such data is offensive by design). Leaves out: generation, judges, reward models.
"""

from pathlib import Path

from whyfirst.data.hh_rlhf import Pair as Row
from whyfirst.data.hh_rlhf import Skipped, split_hh
from whyfirst.evaluate.benchmark import benchmark
from whyfirst.evaluate.item import limited
from whyfirst.evaluate.likelihoods import Likelihoods, Pair, both_ways, likelier

BOTH = both_ways("preference", "Preference accuracy", "pairs whose chosen reply", "the prompt")


@benchmark(
    "preference",
    version="1",
    definition="Chosen against rejected reply by log-likelihood.",
    needs="a .jsonl or .jsonl.gz file or folder of pairs: HH-RLHF's, or prompt/chosen/rejected",
    metrics=BOTH,
    source="Bai et al. 2022 (arXiv 2204.05862), HH-RLHF; or a file of your own",
    licence="MIT",
    example={"test.jsonl": '{"prompt": "Hello?", "chosen": " Hello.", "rejected": " Go away."}\n'},
)
def preference(
    *,
    data: Path,
    limit: int | None = None,
    held_out: float | None = None,
    max_characters: int | None = None,
) -> Likelihoods:
    """Every pair under both metrics; rows that are no usable pair come out unscored.

    Args:
        held_out: only the half of the data that a split by prompt with this share holds out.
        max_characters: leave out rows with a longer text, as training on such data does.
    """
    _, found = split_hh(data, 1.0 if held_out is None else held_out, max_characters)
    # Rows that are no usable pair stay in as unscored: left out, the share would be of less than
    # the file.
    every: list[Row | Skipped] = [*found.pairs, *found.skipped]
    rows = sorted(every, key=lambda row: (row.file, row.row))
    pairs = [
        Pair(row.id, "", about={"topic": row.id}, unusable=row.reason)
        if isinstance(row, Skipped)
        else Pair(row.id, row.prompt, row.chosen, row.rejected, {"topic": row.id})
        for row in limited(rows, limit, lambda row: row.id)
    ]
    return likelier(pairs, BOTH, ("chosen", "rejected"))
