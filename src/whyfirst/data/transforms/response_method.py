"""Which way of writing responses suits the model that will be trained on them.

Ren et al. 2025, "Efficient Response Generation Method Selection for Fine-Tuning Large Language
Models", arXiv 2502.11779, in its first version; later ones measure by self-aligned perplexity
instead. Each strategy has answered a few prompts, and so has the target model; the strategy whose
answers are most like the target's is taken, and its rows are the ones kept. Leaves out: generating
with the strategies, and the perplexity that the paper relates the score to.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from whyfirst.data.transforms import SELECTORS, Row
from whyfirst.models.embed import Embed, lexical


@SELECTORS.enter(
    "response_method",
    paper="Ren et al. 2025, arXiv 2502.11779",
    needs="strategy, completion, target (the target model's own answers)",
    tested="a strategy that draws from the target itself wins; order changes nothing",
    columns={"strategy": str, "completion": str, "target": list[str]},
)
def response_method(rows: Sequence[Row], n: int, *, embed: Embed = lexical) -> list[int]:
    """The first `n` rows of the best strategy."""
    scores = alignment_scores(rows, embed)
    best = max(sorted(scores), key=lambda name: scores[name])
    return [i for i, row in enumerate(rows) if row["strategy"] == best][:n]


def alignment_scores(rows: Sequence[Row], embed: Embed = lexical) -> dict[str, float]:
    """Strategy -> mean cosine between its answers and the target model's to the same prompts."""
    each: defaultdict[str, list[float]] = defaultdict(list)
    for row in rows:
        vectors = embed([row["completion"], *row["target"]])
        norms = np.maximum(np.linalg.norm(vectors, axis=1), 1e-12)
        cosines = vectors[1:] @ vectors[0] / (norms[1:] * norms[0])
        each[row["strategy"]].append(float(cosines.mean()))
    return {name: float(np.mean(values)) for name, values in each.items()}
