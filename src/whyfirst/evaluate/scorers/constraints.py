"""Constraints checked by rule: the share that a response keeps.

Wang et al. 2024, "From Instructions to Constraints" (ACT), arXiv 2403.06326: of the response alone
(length, words, options, form) and of the request with it (words of the request that must come
back, in order). Leaves out: constraints over several responses, and pairs made of the share (the
reward of the same shape does that).
"""

import re
from collections.abc import Callable, Sequence

from whyfirst.config.bounded import parse_json
from whyfirst.evaluate.item import Item
from whyfirst.evaluate.scorers import SCORERS, Scorer
from whyfirst.evaluate.text_measures import has_words
from whyfirst.evaluate.verdict import Verdict, unscored

Check = Callable[[str], bool]


@SCORERS.enter(
    "constraints",
    question="follows constraints",
    paper="Wang et al. 2024, arXiv 2403.06326",
    needs="at least one constraint",
    graded=True,
    tested="three of four: 0.75; each is caught by one injected violation",
)
def constraints(
    *,
    most_words: int | None = None,
    least_words: int | None = None,
    contains: tuple[str, ...] = (),
    avoids: tuple[str, ...] = (),
    one_of: tuple[str, ...] = (),
    in_order: tuple[str, ...] = (),
    pattern: str | None = None,
    is_json: bool = False,
) -> Scorer:
    """The share of the constraints that are kept; a response passes that keeps all.

    Args:
        most_words, least_words: of the response.
        contains, avoids: words or phrases, each a constraint, whatever their case.
        one_of: what the whole response must be one of.
        in_order: phrases that must come in this order; together one constraint.
        pattern: a regular expression that is found in the response.
        is_json: the response is one JSON value.
    """
    checks: list[Check] = []
    if most_words is not None:
        checks.append(lambda text: len(text.split()) <= most_words)
    if least_words is not None:
        checks.append(lambda text: len(text.split()) >= least_words)
    checks += [lambda text, w=word: has_words(text, w) for word in contains]  # type: ignore[misc]
    checks += [lambda text, w=word: not has_words(text, w) for word in avoids]  # type: ignore[misc]
    if one_of:
        checks.append(lambda text: text.strip().rstrip(".").lower() in {o.lower() for o in one_of})
    if in_order:
        order = re.compile(".*?".join(map(re.escape, in_order)), re.DOTALL | re.IGNORECASE)
        checks.append(lambda text: order.search(text) is not None)
    if pattern is not None:
        compiled = re.compile(pattern)
        checks.append(lambda text: compiled.search(text) is not None)
    if is_json:
        checks.append(_parses)
    return Constraints(checks, "2" if is_json else "1")


class Constraints(Scorer):
    """See `constraints`."""

    name, question = "constraints", "follows constraints"

    def __init__(self, checks: Sequence[Check], version: str) -> None:
        self.checks, self.version = checks, version

    def read(self, items: Sequence[Item], responses: Sequence[str]) -> list[Verdict]:
        """See `Scorer.read`; without a constraint nothing can be kept."""
        if not self.checks:
            return [unscored("no constraint was given") for _ in responses]
        kept = [sum(check(text) for check in self.checks) for text in responses]
        most = len(self.checks)
        return [Verdict("pass" if n == most else "fail", score=n / most) for n in kept]


def _parses(text: str) -> bool:
    try:
        parse_json(text)
    except ValueError:
        return False
    return True
