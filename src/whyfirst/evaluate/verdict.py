"""What a scorer says of one response: pass, fail, or unscored with a reason.

Leaves out: what is said of two responses (judges), and the record it ends in (`item`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from whyfirst.evaluate.item import Outcome, check_verdict


@dataclass(frozen=True)
class Verdict:
    """What a scorer says of one response.

    Args:
        outcome: pass, fail or unscored; what a pass means is the scorer's question.
        reason: why it is unscored; None otherwise.
        score: in [0, 1], more being more of what the question names; 1 or 0 for a plain pass or
            fail; None if unscored.
        raw: what a model that was asked replied, for the record.
        grades: what the score was made of, by name, where a rubric asks for more than one thing.
        transient: the reason may be gone when the same is asked again.
    """

    outcome: Outcome
    reason: str | None = None
    score: float | None = None
    raw: str | None = None
    grades: Mapping[str, float] | None = None
    transient: bool = False

    # Here and in `ItemResult`: a contradiction is found where it is made and where it is read.
    def __post_init__(self) -> None:
        check_verdict(self.outcome, self.reason, self.score)


def passed(flag: bool) -> Verdict:
    """A plain pass (score 1) or fail (score 0)."""
    return Verdict("pass" if flag else "fail", score=float(flag))


def unscored(reason: str, raw: str | None = None, transient: bool = False) -> Verdict:
    """A response that could not be scored, and why."""
    return Verdict("unscored", reason=reason, raw=raw, transient=transient)
