"""A hinge on the difference of log-ratios: pairs that are right by a margin teach no more.

    L = max(0, 1 - beta (rho(y_w) - rho(y_l)))

SLiC's ranking loss with DPO's log-ratios, as in RSO. Leaves out: SLiC's own regulariser.
"""

from torch import Tensor
from torch.nn.functional import relu

from whyfirst.train.objectives import OBJECTIVES, SequenceScores


@OBJECTIVES.enter(
    "hinge",
    paper="Zhao et al. 2023, arXiv 2305.10425; Liu et al. 2023, arXiv 2309.06657",
    needs="prompt, chosen, rejected; one reference",
    tested="1 at the start; TRL's loss over 20 updates",
    ranks_by=("sum", "beta"),
)
def hinge(scores: SequenceScores, *, beta: float = 0.1) -> Tensor:
    """One less the scaled difference, at least 0; shape (B,)."""
    return relu(1 - beta * scores.preferred(scores.log_ratio()))
