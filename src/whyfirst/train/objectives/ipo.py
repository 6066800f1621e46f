"""Identity preference optimisation: the log-ratios' difference is drawn to a fixed gap.

    L = (rho(y_w) / |y_w| - rho(y_l) / |y_l| - 1 / (2 beta))^2

Its log-ratios are means over tokens, as the authors told TRL that their results had them; the
paper's equation 17 sums. Leaves out: the summed form.
"""

from torch import Tensor

from whyfirst.train.objectives import OBJECTIVES, SequenceScores


@OBJECTIVES.enter(
    "ipo",
    paper="Azar et al. 2023, arXiv 2310.12036",
    needs="prompt, chosen, rejected; one reference",
    tested="1 / (4 beta^2) at the start; TRL's loss over 20 updates",
    ranks_by=("mean", None),
)
def ipo(scores: SequenceScores, *, beta: float = 0.1) -> Tensor:
    """Squared distance of the difference from its target 1 / (2 beta); shape (B,)."""
    rho = scores.log_ratio() / scores.lengths.clamp(min=1)
    return (scores.preferred(rho) - 1 / (2 * beta)) ** 2
