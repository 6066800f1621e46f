"""SimPO: the mean log-probability of a token is the reward, and the pair must differ by a margin.

    L = -log sigmoid(beta log p(y_w|x) / |y_w| - beta log p(y_l|x) / |y_l| - gamma)

Leaves out: nothing; no reference is touched.
"""

from torch import Tensor
from torch.nn.functional import logsigmoid

from whyfirst.train.objectives import OBJECTIVES, SequenceScores


@OBJECTIVES.enter(
    "simpo",
    paper="Meng et al. 2024, arXiv 2405.14734",
    needs="prompt, chosen, rejected; no reference",
    tested="two hand-made responses; gamma 0 and a uniform reference give ln_dpo",
    references=0,
    ranks_by=("mean", "beta"),
)
def simpo(scores: SequenceScores, *, beta: float = 2.0, gamma: float = 1.0) -> Tensor:
    """-log sigmoid of the scaled difference of mean log-probabilities less gamma; shape (B,)."""
    return -logsigmoid(beta * scores.preferred(scores.mean_logp) - gamma)
