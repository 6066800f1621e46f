"""LiPO: a list of responses with labels, and a family of ranking losses on implicit rewards.

Liu et al. 2024, "LiPO: Listwise Preference Optimization", arXiv 2402.01878. The score of a response
is beta times its log-ratio. `lambda` weighs each pair by how much swapping it would change the
discounted gain at the present ranking; beta is the paper's. Leaves out: its two pointwise losses,
and re-sampling responses during training.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import softplus

from whyfirst.train.objectives import NEVER, OBJECTIVES, SequenceScores


@OBJECTIVES.enter(
    "lipo",
    version="2",
    paper="Liu et al. 2024, arXiv 2402.01878",
    needs="responses, labels in [0, 1]; one reference",
    tested="K = 2: lambda is 0.5324558 dpo, logistic is dpo; s = 2, 1, 0 gives 0.2137772827",
    responses=(2, None),
    # Its gains are 2 to the label: far below they vanish, and above they outgrow everything.
    labels_within=lambda options: (0.0, 1.0) if options.loss == "lambda" else None,
    ranks_by=("sum", "beta"),
)
def lipo(
    scores: SequenceScores,
    *,
    beta: float = 0.05,
    loss: Literal["lambda", "logistic", "hinge", "list_mle", "softmax"] = "lambda",
) -> Tensor:
    """A ranking loss on beta times the log-ratios.

    Args:
        beta: strength of the pull towards the reference.
        loss: ``lambda`` and ``logistic`` sum softplus over pairs with and without the lambda
            weights, ``hinge`` sums max(0, 1 - difference) (SLiC with K = 2), ``list_mle`` is the
            Plackett-Luce likelihood of the labels' order, ``softmax`` the cross-entropy to labels
            that sum to one.

    Returns:
        Loss of each row, shape (B,).

    Raises:
        ValueError: a label below 0 with ``softmax``.
    """
    s_B_K = beta * scores.log_ratio()
    if loss == "list_mle":
        order = _labels(scores).argsort(dim=1, descending=True, stable=True)
        there = scores.present.gather(1, order)
        ranked = s_B_K.gather(1, order).masked_fill(~there, NEVER)
        rest = ranked.flip(1).logcumsumexp(1).flip(1)
        return ((rest - ranked).masked_fill(~there, 0)).sum(1)
    if loss == "softmax":
        logp = s_B_K.masked_fill(~scores.present, NEVER).log_softmax(1)
        share = scores.labels.masked_fill(~scores.present, 0)
        if bool((share < 0).any()):
            # Over their sum they would ask for the reverse of what they say.
            raise ValueError("lipo: softmax needs labels of 0 or more")
        share = share / share.sum(1, keepdim=True)
        return -(share * logp.masked_fill(~scores.present, 0)).sum(1)
    difference_B_K_K = s_B_K[:, :, None] - s_B_K[:, None, :]
    each = (1 - difference_B_K_K).clamp(min=0) if loss == "hinge" else softplus(-difference_B_K_K)
    if loss == "lambda":
        each = each * lambda_weights(s_B_K.masked_fill(~scores.present, -torch.inf), scores.labels)
    return each.masked_fill(~scores.better, 0).sum((1, 2))


def lambda_weights(s: Tensor, labels: Tensor) -> Tensor:
    """|gain i - gain j| |discount i - discount j| at the ranking by s, shape (B, K, K)."""
    # At the start all are equal but for rounding, which differs with the batch: those come in the
    # list's order.
    level = s.detach().mul(1e5).round()
    rank = level.argsort(dim=1, descending=True, stable=True).argsort(1) + 1
    discount = 1 / torch.log1p(rank.to(labels.dtype))
    gain = 2 ** labels.nan_to_num()  # a padded response has no label, and no pair counts it
    return (gain[:, :, None] - gain[:, None, :]).abs() * (
        discount[:, :, None] - discount[:, None, :]
    ).abs()


def _labels(scores: SequenceScores) -> Tensor:
    return scores.labels.masked_fill(~scores.present, -torch.inf)
