"""PoFT: fine-tuning that prefers the model's likelihood of a response to aligned models' own.

Fan et al. 2024, "Preference-Oriented Supervised Fine-Tuning", arXiv 2412.12865. Responses that
aligned models find unlikely count less: the gradient is cross-entropy's times
tau = g / (g + p), with g the aligned models' mean likelihood a token and p the policy's. The column
`aligned_logp` is their mean log-probability a token, made by the transform `aligned_likelihood`.
"""

from torch import Tensor
from torch.nn.functional import logsigmoid

from whyfirst.train.objectives import OBJECTIVES, SequenceScores


@OBJECTIVES.enter(
    "poft",
    paper="Fan et al. 2024, arXiv 2412.12865",
    needs="prompt, completion, aligned_logp; no reference",
    tested="the gradient in the mean log-probability is -tau; ln 2 where they agree",
    labelled=False,
    references=0,
    responses=(1, 1),
    columns={"aligned_logp": "row"},
)
def poft(scores: SequenceScores) -> Tensor:
    """-log sigmoid of the policy's mean log-probability a token less the aligned models'.

    Returns:
        Loss of each row, shape (B,).
    """
    return -logsigmoid(scores.mean_logp[:, 0] - scores.extras["aligned_logp"])
