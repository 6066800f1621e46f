"""AFT: good answers above bad ones, and a limit on how far bad ones are pushed down.

Wang et al. 2023, "Making Large Language Models Better Reasoners with Alignment", arXiv 2309.02144.
Reference-free, on mean log-probabilities a token. `detached` gives bad answers no gradient;
`boundary` pulls a bad answer up again once it is beta below the worst good one. With labels that
rank, every ordered pair counts (the paper's ranking form). Leaves out: sampling the answers.
"""

from typing import Literal

import torch
from torch import Tensor

from whyfirst.train.objectives import NEVER, OBJECTIVES, SequenceScores


@OBJECTIVES.enter(
    "aft",
    paper="Wang et al. 2023, arXiv 2309.02144",
    needs="responses, labels (right above wrong, or ranks); no reference",
    tested="one right and one wrong: -log sigmoid; detached: no gradient on the wrong ones",
    references=0,
    responses=(2, None),
    ranks_by=("mean", None),
)
def aft(
    scores: SequenceScores,
    *,
    constraint: Literal["none", "detached", "boundary"] = "detached",
    beta: float = 0.15,
    nll: float = 1.0,
) -> Tensor:
    """log(1 + sum over pairs of exp(s of the worse - s of the better)), and the best's likelihood.

    Args:
        constraint: what keeps worse responses from falling without end.
        beta: how far below the worst better response the boundary lies (nats a token); the
            paper's value could not be found.
        nll: weight of the best response's negative log-probability a token.

    Returns:
        Loss of each row, shape (B,).
    """
    s_B_K, better_B_K_K = scores.mean_logp, scores.better
    worse_B_K = s_B_K.detach() if constraint == "detached" else s_B_K
    exponent = worse_B_K[:, None, :] - s_B_K[:, :, None]  # [i, j]: worse j against better i
    terms = [exponent.masked_fill(~better_B_K_K, NEVER).flatten(1)]
    if constraint == "boundary":
        above = s_B_K[:, :, None].expand_as(exponent).masked_fill(~better_B_K_K, -NEVER)
        bound_B_K = above.amin(1).detach() - beta  # of each response, under those above it
        pull = (bound_B_K - s_B_K)[:, None, :].expand_as(exponent)
        terms.append(pull.masked_fill(~better_B_K_K, NEVER).flatten(1))
    zero = s_B_K.new_zeros(len(s_B_K), 1)  # the 1 in log(1 + ...)
    loss_B = torch.cat([zero, *terms], 1).logsumexp(1)
    return loss_B - nll * s_B_K.gather(1, scores.best)[:, 0]
