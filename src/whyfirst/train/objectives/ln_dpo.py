"""Length-normalised DPO: log-ratios for each token, so that length alone wins nothing.

    L = -log sigmoid(beta (rho(y_w) / |y_w| - rho(y_l) / |y_l|))

Ahrabian et al. 2024, "The Hitchhiker's Guide to Human Alignment with *PO" (later "A Practical
Analysis of Human Alignment with *PO"), arXiv 2407.15229, where it is called LN-DPO. `beta` is some
|y| times DPO's for an equal pull. Leaves out: a margin (see `simpo`).
"""

from torch import Tensor
from torch.nn.functional import logsigmoid

from whyfirst.train.objectives import OBJECTIVES, SequenceScores


@OBJECTIVES.enter(
    "ln_dpo",
    paper="Ahrabian et al. 2024, arXiv 2407.15229",
    needs="prompt, chosen, rejected; one reference",
    tested="with equal lengths n it is dpo with beta / n; TRL's sigmoid_norm",
    ranks_by=("mean", "beta"),
)
def ln_dpo(scores: SequenceScores, *, beta: float = 2.0) -> Tensor:
    """`dpo` with each log-ratio divided by its response's tokens; shape (B,)."""
    return -logsigmoid(beta * scores.preferred(scores.log_ratio() / scores.lengths.clamp(min=1)))
