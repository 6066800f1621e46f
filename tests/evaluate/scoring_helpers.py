"""What tests of scorers share: one response as a text, and its verdict."""

from collections.abc import Sequence
from typing import NamedTuple

from whyfirst.evaluate.item import Item
from whyfirst.evaluate.scorers import Scorer
from whyfirst.evaluate.verdict import Verdict
from whyfirst.models.base import Completion


class Exchange(NamedTuple):
    """A request and a response to it."""

    id: str
    prompt: str
    response: str
    language: str = "en"
    correct: tuple[str, ...] = ()
    incorrect: tuple[str, ...] = ()


def score(scorer: Scorer, exchanges: Sequence[Exchange]) -> list[Verdict]:
    """The verdicts on some exchanges."""
    items = [
        Item(e.id, e.prompt, e.prompt, {}, e.language, e.correct, e.incorrect) for e in exchanges
    ]
    return scorer.score(items, [Completion(e.response, finished=True) for e in exchanges])
