"""Direct preference optimisation: a logistic loss on the difference of log-ratios.

    L = -log sigmoid(beta (rho(y_w) - rho(y_l))),    rho(y) = log p(y|x) - log p_ref(y|x)

Leaves out: other divergences than the reverse KL, and label smoothing.
"""

from torch import Tensor
from torch.nn.functional import logsigmoid

from whyfirst.train.objectives import OBJECTIVES, SequenceScores


@OBJECTIVES.enter(
    "dpo",
    paper="Rafailov et al. 2023, arXiv 2305.18290",
    needs="prompt, chosen, rejected; one reference",
    tested="ln 2 at the start; TRL's loss over 20 updates",
    ranks_by=("sum", "beta"),
)
def dpo(scores: SequenceScores, *, beta: float = 0.1) -> Tensor:
    """-log sigmoid of the better response's scaled log-ratio less the other's; shape (B,)."""
    return -logsigmoid(beta * scores.preferred(scores.log_ratio()))
