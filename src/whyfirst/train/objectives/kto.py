"""KTO: single responses, good or bad, each held against how far the whole policy has moved.

    L = w+ (1 - sigmoid(beta (rho(y) - z)))   of a good response
    L = w- (1 - sigmoid(beta (z - rho(y))))   of a bad one
    z = max(0, mean of rho over the forward pass, each prompt with another row's response)

Equations 7 and 8; rho(y) = log p(y|x) - log p_ref(y|x), and z has no gradient. A row's last
response is another row's (`preferences.read_candidates`), so that the reference is asked once.
Leaves out: an estimate of z over more than one forward pass; the loss depends on how a batch is
cut.
"""

from torch import Tensor, where

from whyfirst.train.objectives import OBJECTIVES, SequenceScores


@OBJECTIVES.enter(
    "kto",
    paper="Ethayarajh et al. 2024, arXiv 2402.01306",
    needs="prompt, completion, label (true or false); one reference",
    tested="half the mean weight at the start; by hand with z above and below 0",
    responses=(1, 1),
    binary=True,
    borrowed=True,
    batched=True,
)
def kto(
    scores: SequenceScores,
    *,
    beta: float = 0.1,
    desirable_weight: float = 1.0,
    undesirable_weight: float = 1.0,
) -> Tensor:
    """How little a response is worth beside the policy's drift; shape (B,).

    Args:
        beta: of the reference: higher stays nearer to it.
        desirable_weight, undesirable_weight: w+ and w-; the paper asks for w+ n+ / (w- n-) between
            1 and 4/3 where the counts n differ.
    """
    ratio_B_2 = scores.log_ratio()
    drift = ratio_B_2[:, 1].mean().clamp(min=0).detach()
    good_B = scores.labels[:, 0] > 0
    gain_B = beta * (ratio_B_2[:, 0] - drift) * where(good_B, 1.0, -1.0)
    return where(good_B, desirable_weight, undesirable_weight) * (1 - gain_B.sigmoid())
