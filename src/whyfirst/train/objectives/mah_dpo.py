"""MAH-DPO: an output head for each objective on one trunk, weighted when the model answers.

    L = -log sigmoid(beta (rho_d(y_w) - rho_d(y_l))),    d the objective of the pair

Shen et al. 2025, "Simultaneous Multi-objective Alignment Across Verifiable and Non-verifiable
Rewards". Heads begin as the model's own plus noise, and the reference is the model with these
heads. A mix of linear heads is one head of the mixed weights: the stage saves their mean as the
model, and the edit `heads` mixes them as an arm says. Leaves out: the reward model over verifiable
and other data, and the mean over each objective's own pairs, where here it is over all (the same
for equal shares).
"""

from torch import Tensor
from torch.nn.functional import logsigmoid

from whyfirst.train.objectives import OBJECTIVES, SequenceScores


@OBJECTIVES.enter(
    "mah_dpo",
    paper="Shen et al. 2025, arXiv 2510.01167",
    needs="prompt, chosen, rejected, objective (0, 1, ...: its head); one reference",
    tested="one head without noise is dpo; a head without pairs gets no gradient",
    columns={"objective": "row"},
    many_heads=True,
    ranks_by=("sum", "beta"),
)
def mah_dpo(
    scores: SequenceScores, *, heads: int = 2, beta: float = 0.1, noise: float = 1e-3
) -> Tensor:
    """DPO, each pair scored by the head of its objective (`whyfirst.train.heads`); shape (B,).

    Args:
        heads: how many objectives there are.
        beta: as in DPO.
        noise: standard deviation of what each head begins away from the model's own.
    """
    return -logsigmoid(beta * scores.preferred(scores.log_ratio()))
