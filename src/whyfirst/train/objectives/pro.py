"""PRO: each response of a ranking against all that are worse, sharpened by the reward gaps.

Song et al. 2023, "Preference Ranking Optimization", arXiv 2306.17492. Reference-free. The paper
divides by a temperature 1 / (gap), which is the product here. Leaves out: the reward model that
makes the labels.
"""

import torch
from torch import Tensor

from whyfirst.train.objectives import NEVER, OBJECTIVES, SequenceScores


@OBJECTIVES.enter(
    "pro",
    paper="Song et al. 2023, arXiv 2306.17492",
    needs="responses, labels (rewards, all different); no reference",
    tested="K = 2 and gap 1 give -log sigmoid; without gaps Plackett-Luce",
    references=0,
    responses=(2, None),
    distinct=True,
    ranks_by=("mean", None),
)
def pro(scores: SequenceScores, *, nll: float = 0.05, gaps: bool = True) -> Tensor:
    """Softmax of each response among itself and the worse ones, and the best one's likelihood.

    Args:
        nll: weight, times (K - 1) squared, of the best response's negative log-likelihood.
        gaps: multiply mean log-probabilities by the differences of rewards.

    Returns:
        Loss of each row, shape (B,).
    """
    label = scores.labels.masked_fill(~scores.present, -torch.inf)
    order = label.argsort(dim=1, descending=True, stable=True)
    r_B_K, there_B_K = label.gather(1, order), scores.present.gather(1, order)
    s_B_K = scores.mean_logp.gather(1, order)
    K = s_B_K.shape[1]
    both = there_B_K[:, :, None] & there_B_K[:, None, :]
    gap_B_K_K = (r_B_K[:, :, None] - r_B_K[:, None, :]).masked_fill(~both, 0)
    # A response's own logit has the widest of its gaps: itself against the worst.
    gap_B_K_K = gap_B_K_K.diagonal_scatter(gap_B_K_K.amax(2), dim1=1, dim2=2)
    sharp = gap_B_K_K if gaps else torch.ones_like(gap_B_K_K)
    at_or_below = torch.ones(K, K, dtype=torch.bool, device=s_B_K.device).triu()
    logit_B_K_K = (s_B_K[:, None, :] * sharp).masked_fill(
        ~(at_or_below & there_B_K[:, None, :]), NEVER
    )
    own = logit_B_K_K.diagonal(dim1=1, dim2=2)
    loss_B_K = (logit_B_K_K.logsumexp(2) - own).masked_fill(~there_B_K, 0)
    best_B = scores.sequence_logp.gather(1, order)[:, 0]
    return loss_B_K[:, :-1].sum(1) - nll * (there_B_K.sum(1) - 1) ** 2 * best_B
