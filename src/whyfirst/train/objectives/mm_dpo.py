"""MM-DPO: pairs with a wider reward margin count with a larger beta.

Zhang et al. 2025, "MM-RLHF", arXiv 2502.10391; text form. The paper's rule scales beta by the
reward model's margin and keeps it within [beta, beta (1 + w)], so that a pair whose reward model
disagrees has the smallest beta; beta, w and k are the paper's. The released code overwrites it by
default with a rule over the batch's own implicit margins (`implicit`), in which the margins nearest
the batch's mean are drawn at random; here the nearest `kept` of a forward pass are taken. Leaves
out: that random draw.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from whyfirst.train.objectives import OBJECTIVES, SequenceScores


@OBJECTIVES.enter(
    "mm_dpo",
    version="2",
    paper="Zhang et al. 2025, arXiv 2502.10391",
    needs="chosen, rejected, margin (a reward model's difference); one reference",
    tested="margin 0 or below gives dpo; beta(inf) = beta (1 + w)",
    columns={"margin": "row"},
    batched="implicit",
    ranks_by=("sum", "beta"),
)
def mm_dpo(
    scores: SequenceScores,
    *,
    beta: float = 0.1,
    w: float = 0.5,
    k: float = 0.5,
    nll: float = 0.0,
    implicit: bool = False,
    kept: float = 0.8,
) -> Tensor:
    """DPO whose beta grows with the margin: beta (1 + w (1 - exp(-k margin))); below 0 it is 0.

    Args:
        beta: the smallest beta.
        w: how much beta can grow.
        k: how fast it does.
        nll: weight of the chosen response's negative log-likelihood (the released code's is 0.25;
            the paper tries 0 to 1).
        implicit: the released code's rule: beta (1 + w (mean of the kept margins - their mean)).
        kept: share of a forward pass's margins nearest their mean that `implicit` averages.

    Returns:
        Loss of each row, shape (B,).
    """
    ratio_B_2 = scores.log_ratio()
    margin_B = ratio_B_2[:, 0] - ratio_B_2[:, 1]
    if implicit:
        far_B = (margin_B - margin_B.mean()).abs().detach()
        nearest = far_B.argsort()[: max(1, math.ceil(kept * len(far_B)))]
        beta_B = beta * (1 + w * (margin_B[nearest].mean() - margin_B.mean()).detach())
        beta_B = beta_B.clamp(min=1e-3)
    else:
        # Without the floor a margin below -ln(1 + 1 / w) / k would turn the preference round.
        beta_B = beta * (1 + w * (1 - torch.exp(-k * scores.extras["margin"].clamp(min=0))))
    return -logsigmoid(beta_B * margin_B) - nll * scores.sequence_logp[:, 0]
