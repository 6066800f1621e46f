"""Robust DPO: direct preference optimisation where some of the labels are the wrong way round.

With labels that are wrong with probability `noise` (e), the loss

    L = ((1 - e) l(w, l) - e l(l, w)) / (1 - 2e)

has the same expectation as DPO's loss l under right labels. Leaves out: estimating the noise.
"""

from typing import Annotated

from pydantic import Field
from torch import Tensor
from torch.nn.functional import logsigmoid

from whyfirst.train.objectives import OBJECTIVES, SequenceScores


@OBJECTIVES.enter(
    "robust_dpo",
    paper="Chowdhury et al. 2024, arXiv 2403.00409",
    needs="prompt, chosen, rejected",
    tested="noise 0 is DPO; the expectation over flipped labels is DPO's loss",
    references=1,
)
def robust_dpo(
    scores: SequenceScores,
    *,
    beta: float = 0.1,
    noise: Annotated[float, Field(ge=0, lt=0.5)] = 0.1,
) -> Tensor:
    """DPO's loss, unbiased under labels that are wrong with a known probability; shape (B,)."""
    margin = beta * scores.preferred(scores.log_ratio())
    right, wrong = -logsigmoid(margin), -logsigmoid(-margin)
    return ((1 - noise) * right - noise * wrong) / (1 - 2 * noise)
