"""D2O: alignment from dispreferred responses only, set against the policy's own samples.

Duan et al. 2024, "Negating Negatives", arXiv 2403.03419. A row holds K samples of the model (label
1) and one dispreferred response (label 0). Two references: the first holds helpful information (r+,
against the dispreferred response), the second harmful information (r-, against the samples).
Leaves out: sampling anew during training; the samples are the rows'.
"""

from torch import Tensor
from torch.nn.functional import logsigmoid

from whyfirst.train.objectives import OBJECTIVES, SequenceScores


@OBJECTIVES.enter(
    "d2o",
    paper="Duan et al. 2024, arXiv 2403.03419",
    needs="responses: K self-samples (label 1) and one dispreferred (label 0); two references",
    tested="K = 1, alpha = beta gives dpo; at most the mean of the instances' dpo losses",
    references=2,
    responses=(2, None),
    ranks_by=("sum", "beta"),
)
def d2o(scores: SequenceScores, *, beta: float = 0.1, alpha: float = 0.1) -> Tensor:
    """-log sigmoid of the samples' mean log-ratio less the dispreferred response's.

    Args:
        beta: weight of the samples' log-ratio to the harmful reference.
        alpha: weight of the dispreferred response's log-ratio to the helpful one.

    Returns:
        Loss of each row, shape (B,).

    Raises:
        ValueError: a row without a sample, or with none or several dispreferred responses.
    """
    sample_B_K = (scores.labels > 0.5) & scores.present
    dispreferred_B_K = (scores.labels <= 0.5) & scores.present
    to_helpful_B_K, to_harmful_B_K = scores.log_ratio(0), scores.log_ratio(1)
    count_B = sample_B_K.sum(1)
    if bool((count_B == 0).any()) or bool((dispreferred_B_K.sum(1) != 1).any()):
        raise ValueError("d2o: a row needs samples (label 1) and one dispreferred response (0)")
    own_B = (to_harmful_B_K * sample_B_K).sum(1) / count_B
    bad_B = (to_helpful_B_K * dispreferred_B_K).sum(1)
    return -logsigmoid(beta * own_B - alpha * bad_B)
