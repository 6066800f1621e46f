"""Contrastive preference optimisation: DPO with a uniform reference, and likelihood of the better.

    L = -log sigmoid(beta (log p(y_w|x) - log p(y_l|x))) - alpha log p(y_w|x) / |y_w|

Leaves out: nothing; no reference is touched.
"""

from torch import Tensor
from torch.nn.functional import logsigmoid

from whyfirst.train.objectives import OBJECTIVES, SequenceScores


@OBJECTIVES.enter(
    "cpo",
    paper="Xu et al. 2024, arXiv 2401.08417",
    needs="prompt, chosen, rejected; no reference",
    tested="two hand-made responses",
    references=0,
    ranks_by=("sum", "beta"),
)
def cpo(scores: SequenceScores, *, beta: float = 0.1, alpha: float = 1.0) -> Tensor:
    """The logistic loss on log-probabilities plus the better one's mean loss; shape (B,)."""
    likelihood = scores.mean_logp.gather(1, scores.best)[:, 0]
    return -logsigmoid(beta * scores.preferred(scores.sequence_logp)) - alpha * likelihood
