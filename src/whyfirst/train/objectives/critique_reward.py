"""A reward model that criticises first: which response is better, and what is to be said of each.

    L = a [-log sigmoid(r_w - r_l)] + b (r_1 - r_2)^2 of ties + c (r_w + r_l)^2
        + d [NLL(critique_w) + NLL(critique_l)]

Zhang et al. 2025, "MM-RLHF: The Next Step Forward in Multimodal LLM Alignment", text form. r is
read from the state after the critique (`whyfirst.train.critic`), NLL is a mean over its tokens. The
paper's own loss is the first and the last term at weight 1; ties and centring are the released
code's, which takes ties and the other pairs as two means; here both are in one over all rows. It
also has a margin, and rows without critiques. Leaves out: those, images, and writing critiques (a
judge's or a person's words stand in the rows).
"""

from torch import Tensor, where
from torch.nn.functional import logsigmoid

from whyfirst.train.objectives import OBJECTIVES, SequenceScores


@OBJECTIVES.enter(
    "critique_reward",
    paper="Zhang et al. 2025, arXiv 2502.10391",
    needs="a stage of that kind, which makes its rows; no reference",
    tested="no weight on critiques and no tie: TRL's reward loss; a tie costs 0 iff equal",
    references=0,
    scored=True,
    ties=True,
)
def critique_reward(
    scores: SequenceScores,
    *,
    preference: float = 1.0,
    tie: float = 1.0,
    center: float = 0.01,
    critique: float = 1.0,
) -> Tensor:
    """The loss of each pair, a tie where both labels are equal; shape (B,).

    Args:
        preference: weight a, of the better response's reward being higher.
        tie: weight b, of equal rewards where neither is better.
        center: weight c, of rewards round 0.
        critique: weight d, of the critiques' likelihood.
    """
    assert scores.rewards is not None  # the fact `scored` says that there is a second output
    gap_B = scores.rewards[:, 0] - scores.rewards[:, 1]
    apart_B = where(
        scores.labels[:, 0] == scores.labels[:, 1],
        tie * gap_B**2,
        -preference * logsigmoid(gap_B),
    )
    return apart_B + center * scores.rewards[:, :2].sum(1) ** 2 - critique * scores.mean_logp.sum(1)
