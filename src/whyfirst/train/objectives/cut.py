"""CUT: learning from judgments in words, token by token.

Xu et al. 2023, "Reasons to Reject? Aligning Language Models with Judgments", arXiv 2312.14591. A
row reads one response in two contexts: after its prompt (response 0) and after its prompt with a
judgment of it (response 1, the same text). Tokens that the judgment makes more likely by a factor
above `threshold` are what it blames: they get unlikelihood, all others likelihood. Leaves out: the
rows whose judgment finds no fault as a class of their own; nothing is flagged in them.
"""

import torch
from torch import Tensor

from whyfirst.train.objectives import OBJECTIVES, SequenceScores

_CERTAIN = 1e-5  # 1 - p is kept above this, as in the released code


@OBJECTIVES.enter(
    "cut",
    paper="Xu et al. 2023, arXiv 2312.14591",
    needs="prompts (without and with the judgment), responses (the same twice); no reference",
    tested="p = .3, .49, .2 and q = .9, .5, .2 give 0.7861517649; no threshold gives NLL",
    labelled=False,
    alike=True,
    references=0,
)
def cut(scores: SequenceScores, *, threshold: float = 1.1, alpha: float = 0.1) -> Tensor:
    """Half the loss without the judgment, half the likelihood with it.

    Args:
        threshold: how much likelier the judgment has to make a token for it to be blamed.
        alpha: weight of a blamed token's unlikelihood.

    Returns:
        Loss of each row, shape (B,).

    Raises:
        ValueError: a response is cut off in one of its contexts.
    """
    mask_B_T = scores.mask[:, 0]
    if not torch.equal(mask_B_T, scores.mask[:, 1]):
        # Tokens that are missing in one context would count as blamed, or as certain.
        raise ValueError(
            "cut: a response is longer in one context than in the other, where it was cut off; "
            "raise max_length or drop such rows"
        )
    without_B_T = judged_loss(scores.logp[:, 0], scores.logp[:, 1].detach(), threshold, alpha)
    length_B = mask_B_T.sum(1)
    unlike_B = (without_B_T * mask_B_T).sum(1) / length_B
    return (unlike_B - scores.logp[:, 1].sum(1) / length_B) / 2


def judged_loss(logp: Tensor, judged_logp: Tensor, threshold: float, alpha: float) -> Tensor:
    """Unlikelihood of blamed tokens and likelihood of the others, shape (B, T)."""
    blamed = (judged_logp - logp.detach()).exp() > threshold
    unlikelihood = -alpha * torch.log((1 - logp.exp()).clamp(min=_CERTAIN))
    return torch.where(blamed, unlikelihood, -logp)
