"""ACT and CycleAlign: a hinge on every pair in the wrong order, and the best response's likelihood.

ACT: Wang et al. 2024, "From Instructions to Constraints", arXiv 2403.06326 (labels: the rate of
constraints that a response meets). CycleAlign: Hong et al. 2023, arXiv 2310.16271 (labels: the
ranking on which two models agree). Both take RRHF's loss (Yuan et al. 2023, arXiv 2304.05302) on
mean log-probabilities; no margin of theirs could be found, so there is none by default. Leaves out:
what makes the labels (constraint verifiers, the cycle of rankings).
"""

from torch import Tensor

from whyfirst.train.objectives import OBJECTIVES, SequenceScores


@OBJECTIVES.enter(
    "act",
    paper="Wang et al. 2024, arXiv 2403.06326",
    needs="responses, labels (rates of constraints met); no reference",
    tested="K = 2 without nll: max(0, s of the worse - s of the better)",
    references=0,
    responses=(2, None),
    ranks_by=("mean", None),
)
@OBJECTIVES.enter(
    "cyclealign",
    paper="Hong et al. 2023, arXiv 2310.16271",
    needs="responses, labels (agreed ranks, the best highest); no reference",
    tested="K = 2 without nll: max(0, s of the worse - s of the better)",
    references=0,
    responses=(2, None),
    ranks_by=("mean", None),
)
def rank_hinge(scores: SequenceScores, *, margin: float = 0.0, nll: float = 1.0) -> Tensor:
    """Sum over ordered pairs of max(0, margin + s of the worse - s of the better).

    Args:
        margin: by how much the better one has to be ahead (nats a token).
        nll: weight of the best response's negative log-likelihood.

    Returns:
        Loss of each row, shape (B,).
    """
    s_B_K = scores.mean_logp
    wrong = (margin + s_B_K[:, None, :] - s_B_K[:, :, None]).clamp(min=0)
    best_B = scores.sequence_logp.gather(1, scores.best)[:, 0]
    return wrong.masked_fill(~scores.better, 0).sum((1, 2)) - nll * best_B
