"""HHH: is the better of two replies the likelier one, by category.

The dialogue is the published one, ``Human:`` and ``Assistant:`` in plain text, whatever chat
template the model has. Leaves out: the lettered form of the question, and judges. Sources: Askell
et al. 2021 (the comparisons and their categories), Bai et al. 2022 (the 438).
"""

from pathlib import Path

from whyfirst.data.hhh import read_hhh
from whyfirst.evaluate.benchmark import benchmark
from whyfirst.evaluate.item import limited
from whyfirst.evaluate.likelihoods import Likelihoods, Pair, both_ways, likelier

BOTH = both_ways("hhh", "HHH accuracy", "comparisons whose better reply", "the dialogue")


@benchmark(
    "hhh",
    version="1",
    definition="Better against worse reply by log-likelihood, by category.",
    needs="438HHHEvaluations.jsonl, or BIG-bench's hhh_alignment folder, or a folder with them",
    metrics=BOTH,
    source="Askell et al. 2021 (arXiv 2112.00861); Bai et al. 2022 (arXiv 2212.08073)",
    licence="BIG-bench: Apache-2.0; the 438: none stated in their repository",
    by=("group",),
    example={
        "438HHHEvaluations.jsonl": '{"prompt": "p", "corrects": [" (A)"], "incorrects": [" (B)"], '
        '"text_correct": "\\n\\nHuman: Hello?\\n\\nAssistant: Hello.", '
        '"text_incorrect": "\\n\\nHuman: Hello?\\n\\nAssistant: Go away."}\n'
    },
)
def hhh(*, data: Path, limit: int | None = None) -> Likelihoods:
    """Every comparison under both metrics."""
    pairs = [
        # The prompt is the topic: several comparisons are about one dialogue.
        Pair(r.id, r.prompt, r.better, r.worse, {"topic": r.prompt, "group": r.category})
        for r in limited(read_hhh(data), limit, lambda row: row.id)
    ]
    return likelier(pairs, BOTH, ("better", "worse"))
