"""How far a judge agrees with people: confusion, Cohen's kappa, sensitivity and specificity.

Labels and verdicts are two-valued (yes: what the judge's question asks for holds). Unscored items
are counted and left out of every other figure. Leaves out: where labels come from (completions.py)
and correcting a rate by what is measured here (correction.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from whyfirst.config.errors import DataError
from whyfirst.evaluate.item import Outcome
from whyfirst.stats.statistics import Interval, wilson

_DRAWS = 2000


class Confusion(NamedTuple):
    """Counts of scored items: person's label × judge's verdict."""

    true_pass: int
    false_pass: int
    false_fail: int
    true_fail: int

    @property
    def n(self) -> int:
        """Items."""
        return sum(self)


@dataclass(frozen=True)
class Agreement:
    """A judge against people's labels, with 95 % intervals.

    Attributes:
        unscored: items with a label that the judge gave no verdict on.
        kappa: Cohen's kappa with a bootstrap interval over items; None where chance agreement is
            certain (both sides use one and the same value only) or nothing is scored.
        sensitivity: passes among the items people say yes to (Wilson); None where there are none.
        specificity: fails among the items people say no to (Wilson); None where there are none.
    """

    confusion: Confusion
    unscored: int
    kappa: Interval | None
    sensitivity: Interval | None
    specificity: Interval | None


def cohens_kappa(counts: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Cohen's kappa of 2 × 2 tables (Cohen 1960): (p_o − p_e) / (1 − p_e).

    Args:
        counts: (..., 4), in the order of `Confusion`.

    Returns:
        (...): nan where a table is empty or p_e is 1.
    """
    table = np.asarray(counts, dtype=np.float64)
    # Of many tables at once: the bootstrap's draws are tables too.
    both, judge_only, person_only, neither = np.moveaxis(table, -1, 0)
    n = table.sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        observed = (both + neither) / n
        # How often two who don't look at the items would agree, saying yes as often as these two
        # do.
        chance = (both + judge_only) * (both + person_only)
        chance = (chance + (neither + person_only) * (neither + judge_only)) / n**2
        return np.asarray((observed - chance) / np.where(chance < 1.0, 1.0 - chance, np.nan))


def kappa_interval(confusion: Confusion) -> Interval | None:
    """Kappa with the percentile bootstrap's 95 % interval over items (Efron and Tibshirani 1993).

    Resampling items of a table is a multinomial draw of its cells. Draws in which kappa is
    undefined are left out. None where kappa itself is undefined.
    """
    value = float(cohens_kappa(confusion))
    if np.isnan(value):
        return None
    shares = np.asarray(confusion, dtype=np.float64) / confusion.n
    # A draw of items with replacement is a draw of cells with these shares, and much faster.
    draws = np.random.default_rng(0).multinomial(confusion.n, shares, size=_DRAWS)
    low, high = np.nanquantile(cohens_kappa(draws), (0.025, 0.975))
    return Interval(value, float(low), float(high))


def confusion_of(passed: Sequence[bool], labels: Sequence[bool]) -> Confusion:
    """Count two-valued verdicts against labels; works for two people as well.

    Raises:
        DataError: the lengths differ.
    """
    if len(passed) != len(labels):
        raise DataError(f"agreement: {len(passed)} verdicts for {len(labels)} labels")
    verdict, label = np.asarray(passed, dtype=bool), np.asarray(labels, dtype=bool)
    cells = (verdict & label, verdict & ~label, ~verdict & label, ~verdict & ~label)
    return Confusion(*(int(cell.sum()) for cell in cells))


def agreement(verdicts: Sequence[Outcome], labels: Sequence[bool]) -> Agreement:
    """A judge's verdicts against people's labels, in the same order.

    Raises:
        DataError: the lengths differ.
    """
    if len(verdicts) != len(labels):
        raise DataError(f"agreement: {len(verdicts)} verdicts for {len(labels)} labels")
    pairs = [
        (verdict == "pass", label)
        for verdict, label in zip(verdicts, labels, strict=True)
        if verdict != "unscored"
    ]
    # What the judge didn't decide counts against its parse rate and not against its agreement.
    counts = confusion_of([passed for passed, _ in pairs], [label for _, label in pairs])
    return from_confusion(counts, unscored=len(verdicts) - len(pairs))


def from_confusion(counts: Confusion, unscored: int = 0) -> Agreement:
    """`Agreement` from counts, which may be summed over files."""
    positives = counts.true_pass + counts.false_fail
    negatives = counts.true_fail + counts.false_pass
    return Agreement(
        confusion=counts,
        unscored=unscored,
        kappa=kappa_interval(counts),
        sensitivity=wilson(counts.true_pass, positives) if positives else None,
        specificity=wilson(counts.true_fail, negatives) if negatives else None,
    )
