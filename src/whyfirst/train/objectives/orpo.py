"""ORPO: likelihood of the better response, and its odds over the other's.

    L = -log P(y_w|x) - lam log sigmoid(log odds P(y_w|x) - log odds P(y_l|x))

with log P(y|x) the mean over tokens and odds P = P / (1 - P). Leaves out: nothing; no reference is
touched.
"""

from torch import Tensor, exp, log1p
from torch.nn.functional import logsigmoid

from whyfirst.train.objectives import OBJECTIVES, SequenceScores


@OBJECTIVES.enter(
    "orpo",
    paper="Hong et al. 2024, arXiv 2403.07691",
    needs="prompt, chosen, rejected; no reference",
    tested="two hand-made responses",
    references=0,
    ranks_by=("mean", None),
)
def orpo(scores: SequenceScores, *, lam: float = 0.1) -> Tensor:
    """The better one's mean loss plus the logistic loss on log-odds; shape (B,)."""
    mean = scores.mean_logp
    # A probability of exactly 1 has no finite odds.
    odds = mean - log1p(-exp(mean).clamp(max=1 - 1e-6))
    return -mean.gather(1, scores.best)[:, 0] - lam * logsigmoid(scores.preferred(odds))
