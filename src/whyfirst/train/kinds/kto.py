"""Stage kind `kto`: `prefer` on single responses with the objective of that name.

Leaves out: every other objective (`prefer`).
"""

from typing import Literal

from whyfirst.config.room import Use
from whyfirst.config.strict import added_later, affects_output
from whyfirst.train.config_base import Stage
from whyfirst.train.kinds import KINDS, StageKind
from whyfirst.train.kinds.prefer import prefer_kind


class KTOStage(Stage):
    """Kahneman-Tversky optimisation on unpaired responses (Ethayarajh et al. 2024)."""

    kind: Literal["kto"] = affects_output(default="kto", description="which kind of stage")
    learning_rate: float = affects_output(default=1e-6, gt=0, description="at its highest")
    beta: float = affects_output(
        default=0.1, gt=0, description="weight of the reference: higher stays nearer to it"
    )
    desirable_weight: float = affects_output(
        default=1.0, gt=0, description="of good completions in the loss"
    )
    undesirable_weight: float = affects_output(
        default=1.0, gt=0, description="of bad completions in the loss"
    )
    processes: int = added_later(
        1, ge=1, description="its KL term is a mean over them: another number is another training"
    )

    @property
    def objective(self) -> Use:
        """The objective it stands for."""
        weights = ("beta", "desirable_weight", "undesirable_weight")
        return Use.model_validate({"name": "kto"} | {w: getattr(self, w) for w in weights})


@KINDS.enter("kto", version="2", paper="Ethayarajh et al. 2024, arXiv 2402.01306")
def kto() -> StageKind:
    """Kahneman-Tversky optimisation on unpaired responses."""
    return prefer_kind(KTOStage, "responses", objective=lambda config: config.objective)
