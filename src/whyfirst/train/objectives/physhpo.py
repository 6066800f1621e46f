"""PhysHPO in text form: one preference at four granularities.

Chen et al. 2025, "Hierarchical Fine-grained Preference Optimization for Physically Plausible Video
Generation", arXiv 2508.10858. The paper's terms compare whole videos (instance), the chosen video
with one whose first and last frames are replaced (state), motion maps (motion) and prompts for one
video (semantic), at weights 1, 0.4, 0.3 and 0.2. On text: the whole response; its first and last
tokens; the chosen response against itself with its steps in another order (response 2); the chosen
response under its own prompt against another prompt (response 3). Leaves out: video, diffusion, the
paper's two kinds of rejected video (0.7 and 0.3 of its instance term), and its selection of data.
"""

from torch import Tensor
from torch.nn.functional import logsigmoid

from whyfirst.train.objectives import OBJECTIVES, SequenceScores

_WEIGHTS = ("state", "motion", "semantic")


@OBJECTIVES.enter(
    "physhpo",
    paper="Chen et al. 2025, arXiv 2508.10858",
    needs="responses: chosen, rejected[, chosen disordered[, chosen under another prompt]]",
    tested="weights (1, 0, 0, 0) give dpo; spans that part a response add up to the whole",
    labelled=False,
    responses=(2, 4),
    # Beside the first they were 0, which made it exactly dpo.
    revised=lambda given: {} if {*_WEIGHTS} <= given.keys() else {"weights": "the paper's"},
    ranks_by=("sum", "beta"),
)
def physhpo(
    scores: SequenceScores,
    *,
    beta: float = 0.1,
    instance: float = 1.0,
    state: float = 0.4,
    motion: float = 0.3,
    semantic: float = 0.2,
    edge: int = 8,
) -> Tensor:
    """A weighted sum of DPO terms.

    Args:
        beta: of every term.
        instance, state, motion, semantic: weights of the terms, the paper's; 0 leaves one out.
        edge: tokens at each end of a response that make its state.

    Returns:
        Loss of each row, shape (B,).

    Raises:
        ValueError: a term has a weight and the rows lack the response it compares with.
    """
    K = scores.logp.shape[1]
    needed = 4 if semantic else 3 if motion else 2
    if needed > K:
        raise ValueError(
            f"physhpo: rows of {K} responses, and its terms need {needed} (pairs_as: hierarchy "
            "makes them); or set semantic: 0, and motion: 0 for pairs"
        )
    token_B_K_T = scores.logp - scores.references[0]
    ratio_B_K = token_B_K_T.sum(-1)
    edge_B_K = (token_B_K_T * edges(scores.mask, edge)).sum(-1)

    def term(better_B: Tensor, worse_B: Tensor) -> Tensor:
        return -logsigmoid(beta * (better_B - worse_B))

    loss_B = instance * term(ratio_B_K[:, 0], ratio_B_K[:, 1])
    loss_B = loss_B + state * term(edge_B_K[:, 0], edge_B_K[:, 1])
    if motion:
        loss_B = loss_B + motion * term(ratio_B_K[:, 0], ratio_B_K[:, 2])
    if semantic:
        loss_B = loss_B + semantic * term(ratio_B_K[:, 0], ratio_B_K[:, 3])
    return loss_B


def edges(mask: Tensor, n: int) -> Tensor:
    """The first and last n tokens of each response, shape of `mask` (B, K, T)."""
    place = mask.cumsum(-1)
    return mask & ((place <= n) | (place > mask.sum(-1, keepdim=True) - n))
