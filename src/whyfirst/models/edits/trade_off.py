"""How far to push a direction: alignment grows with its coefficient, the loss with its square.

Wolf et al. 2024, "Tradeoffs Between Alignment and Helpfulness in Language Models with
Representation Engineering", arXiv 2401.16332. Leaves out: the paper's bounds, whose constants a
model doesn't show.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from whyfirst.config.errors import UserError


@dataclass(frozen=True)
class TradeOff:
    """Fits through the origin: gain = `slope` r and loss = `curvature` r^2."""

    slope: float
    curvature: float

    @property
    def best(self) -> float:
        """The coefficient at which one more unit gains as much as it loses: slope = 2 curvature r.

        Raises:
            UserError: nothing is gained, or nothing lost, so that no coefficient is best.
        """
        # So put that NaN, of a text beyond the model's context, is no coefficient either.
        if not (self.slope > 0 and self.curvature > 0):
            raise UserError(
                f"no coefficient is best: the gain is {self.slope:.3g} r and the loss "
                f"{self.curvature:.3g} r^2, and both must rise with r; give `coefficient`"
            )
        return self.slope / (2 * self.curvature)


def fit(coefficients: Sequence[float], gains: Sequence[float], losses: Sequence[float]) -> TradeOff:
    """Least squares over a sweep; gains and losses are against coefficient 0."""
    second = sum(r**2 for r in coefficients)
    slope = sum(r * g for r, g in zip(coefficients, gains, strict=True)) / second
    fourth = sum(r**4 for r in coefficients)
    curvature = sum(r**2 * x for r, x in zip(coefficients, losses, strict=True)) / fourth
    return TradeOff(slope, curvature)
