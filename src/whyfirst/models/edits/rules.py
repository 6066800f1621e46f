"""Horn rules over propositions, chained forward; the logic of `activation_reasoning`.

Leaves out: variables and quantifiers.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from whyfirst.config.errors import UserError

_RULE = re.compile(r"\s*(!?\w+(?:\s*&\s*!?\w+)*)\s*->\s*(\w+)\s*")


@dataclass(frozen=True)
class Rule:
    """If all of `given` hold and none of `absent` was detected, `then` holds."""

    given: tuple[str, ...]
    absent: tuple[str, ...]
    then: str


def parse(text: str) -> Rule:
    """A rule as it is written: ``weapon & !history -> refuse``.

    Raises:
        UserError: it isn't one.
    """
    match = _RULE.fullmatch(text)
    if match is None:
        raise UserError(f"rules: {text!r} is no rule; write them as 'a & !b -> c'")
    names = [name.strip() for name in match[1].split("&")]
    absent = tuple(name[1:] for name in names if name[0] == "!")
    return Rule(tuple(name for name in names if name[0] != "!"), absent, match[2])


def chain(rules: Iterable[Rule], detected: Mapping[str, Any]) -> dict[str, Any]:
    """Every proposition's value once no rule adds one: booleans, or boolean tensors of one shape.

    "Not" asks what was detected and not what follows, so the order of rules doesn't matter.
    """
    listed = list(rules)
    false = next(iter(detected.values())) & False
    values = dict(detected)
    for rule in listed:
        for name in (*rule.given, rule.then):
            values.setdefault(name, false)
    for _ in listed:  # a proposition that follows does so within as many rounds as there are rules
        for rule in listed:
            holds = ~false if not isinstance(false, bool) else True
            for name in rule.given:
                holds = holds & values[name]
            for name in rule.absent:
                seen = detected.get(name, false)
                holds = holds & (not seen if isinstance(seen, bool) else ~seen)
            values[rule.then] = values[rule.then] | holds
    return values
