"""Stage kind `dpo`: `prefer` on pairs with one of four losses by TRL's names.

Leaves out: every other objective (`prefer`).
"""

from typing import Literal

from whyfirst.config.room import Use
from whyfirst.config.strict import affects_output
from whyfirst.train.config_base import Stage
from whyfirst.train.kinds import KINDS, StageKind
from whyfirst.train.kinds.prefer import prefer_kind

# By the names TRL has for them, which study files have used from the beginning.
_OBJECTIVES = {"sigmoid": "dpo", "sigmoid_norm": "ln_dpo", "hinge": "hinge", "ipo": "ipo"}


class DPOStage(Stage):
    """Direct preference optimisation against the model the stage starts from."""

    kind: Literal["dpo"] = affects_output("dpo", description="which kind of stage")
    learning_rate: float = affects_output(1e-6, gt=0, description="at its highest")
    beta: float = affects_output(
        0.1, gt=0, description="weight of the reference: higher stays nearer to it"
    )
    loss_type: Literal["sigmoid", "sigmoid_norm", "hinge", "ipo"] = affects_output(
        "sigmoid", description="which form of the loss"
    )

    @property
    def objective(self) -> Use:
        """The objective it stands for."""
        return Use.model_validate({"name": _OBJECTIVES[self.loss_type], "beta": self.beta})


@KINDS.enter("dpo", version="2", paper="Rafailov et al. 2023, arXiv 2305.18290")
def dpo() -> StageKind:
    """Direct preference optimisation against the model the stage starts from."""
    return prefer_kind(DPOStage, "pairs", objective=lambda config: config.objective)
