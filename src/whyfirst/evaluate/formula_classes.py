"""Classes of equivalent formulas: which has most votes, and which counter-interpretations leave.

CLOVER (Ryu et al. 2024, "Divide and Translate", arXiv 2410.08047). Equivalence is that over a
finite domain (logic.py). Leaves out: where formulas come from, and a proof by a solver.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from whyfirst.evaluate.audits.conditions import shares_of
from whyfirst.evaluate.logic import differing_worlds, read_formula, same_formula
from whyfirst.models.base import LanguageModel, asked

ALLOWS = (
    "Sentence: {sentence}\nSituation: {facts}.\nDoes the sentence, if it is true, allow this "
    "situation? Answer Yes or No."
)


class Class(NamedTuple):
    """Equivalent formulas: the spelling seen first, its tree, and how many there are."""

    text: str
    tree: Any
    votes: int


def classes(formulas: Sequence[str]) -> list[Class]:
    """The classes, the largest first and of equals the one seen first; what is no formula is in
    none."""
    found: list[Class] = []
    for text in formulas:
        try:
            tree = read_formula(text)
            at = next((n for n, c in enumerate(found) if same_formula(tree, c.tree)), None)
        except ValueError:
            continue
        if at is None:
            found.append(Class(text, tree, 1))
        else:
            found[at] = found[at]._replace(votes=found[at].votes + 1)
    return sorted(found, key=lambda one: -one.votes)


Allows = Callable[[dict[str, bool]], bool | None]
"""Atoms' truth -> whether a sentence allows it; None where nobody can say."""


def survivor(found: Sequence[Class], allows: Allows) -> str | None:
    """The formula that is left when interpretations decide between each two; None where none is.

    Two classes differ in an interpretation in which one holds and the other does not. If the
    sentence allows it, the one that does not hold is dropped, else the one that holds.
    """
    left = list(found)
    while len(left) > 1:
        failed = set()
        for holds, fails in ((left[0], left[1]), (left[1], left[0])):
            # Where this differs from a contradiction, the one holds and the other does not.
            apart = ("∧", holds.tree, ("not", fails.tree))
            never = ("∧", holds.tree, ("not", holds.tree))
            world = next(differing_worlds(apart, never), None)
            if world is None:
                continue
            said = allows(world)
            if said is None:
                return None
            failed.add(fails.text if said else holds.text)
        left = [one for one in left if one.text not in failed]
    return left[0].text if left else None


def allows(model: LanguageModel, sentence: str, world: Mapping[str, bool]) -> bool | None:
    """Whether the model holds that a sentence allows an interpretation; None where it can't say."""
    facts = "; ".join(
        f"{atom.removesuffix('()').replace('#', 'thing ')} is {str(value).lower()}"
        for atom, value in world.items()
    )
    ask = asked(ALLOWS.format(sentence=sentence, facts=facts))
    said = shares_of(model.loglikelihood([(ask, ("Yes", "No"))])[0])
    return None if said.reason else said.shares[0] > 0.5
