"""Which of several continuations is likeliest, or why none is.

The one place where log-likelihoods are compared: an answer that failed has none, and a comparison
with NaN would let it lose or win in silence. Leaves out: what is asked.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from whyfirst.evaluate.item import ItemResult, judged, unscored
from whyfirst.models.base import Loglikelihood


class Likeliest(NamedTuple):
    """The place of the likeliest continuation, or why there is none."""

    place: int | None
    reason: str | None = None
    transient: bool = False


def likeliest(answers: Sequence[Loglikelihood], *, per_token: bool = False) -> Likeliest:
    """The likeliest of some answers; none where one has a problem or is no number, or two tie.

    Args:
        per_token: by the mean over tokens; a continuation without tokens has none.
    """
    for answer in answers:
        if answer.problem is not None:
            return Likeliest(None, answer.problem, answer.transient)
        # NaN loses every comparison, so it would be a defeat that nobody decided.
        if math.isnan(answer.logprob):
            return Likeliest(None, "the model gives no number")
    if per_token and any(answer.tokens == 0 for answer in answers):
        return Likeliest(None, "a reply has no tokens")
    values = [one.logprob / one.tokens if per_token else one.logprob for one in answers]
    best = max(values)
    # The first of several would win by its place, which is a bias towards whatever comes first.
    if values.count(best) > 1:
        return Likeliest(None, "tie")
    return Likeliest(values.index(best))


def picked(
    id: str,  # noqa: A002
    metric: str,
    answers: Sequence[Loglikelihood],
    texts: Sequence[str] = (),
    *,
    per_token: bool = False,
    **more: Any,
) -> ItemResult:
    """A pass where the first answer is the likeliest; unscored where none is.

    Args:
        texts: the continuations, where the likeliest is to stand in the record as the response.
    """
    best = likeliest(answers, per_token=per_token)
    if best.place is None:
        return unscored(id, metric, str(best.reason), transient=best.transient, **more)
    said = {"response": texts[best.place]} if texts else {}
    return judged(id, metric, best.place == 0, **said, **more)
