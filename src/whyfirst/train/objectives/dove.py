"""DOVE: preferences between two instruction-response pairs whose instructions differ.

Bansal et al. 2024, "Comparing Bad Apples to Good Oranges", arXiv 2404.00530. The score of a
response is the joint log-probability of its prompt and itself, so the mask covers both; with one
prompt for both the prompt's terms cancel and the loss is DPO's. Leaves out: the conditional variant
over different prompts, which is `dpo` on the same rows.
"""

from torch import Tensor
from torch.nn.functional import logsigmoid

from whyfirst.train.objectives import OBJECTIVES, SequenceScores


@OBJECTIVES.enter(
    "dove",
    version="2",  # its prompts were not counted among the tokens it trains on
    paper="Bansal et al. 2024, arXiv 2404.00530",
    needs="prompts (two), responses, labels; one reference",
    tested="identical prompts give dpo exactly",
    prompt_scored=True,
    ranks_by=("sum", "beta"),
)
def dove(scores: SequenceScores, *, beta: float = 0.1) -> Tensor:
    """-log sigmoid of beta times the difference of joint log-ratios.

    Args:
        beta: strength of the pull towards the reference.

    Returns:
        Loss of each row, shape (B,).
    """
    ratio_B_2 = scores.log_ratio()
    return -logsigmoid(beta * (ratio_B_2[:, 0] - ratio_B_2[:, 1]))
