"""Scorers: one response -> pass, fail, or unscored with a reason.

What a pass means is the scorer's `question` ("refused", "harmless", ...). A scorer is entered as a
function of its options that gives a `Scorer`, with the fact ``question``; ``models`` names options
that are a model's folder or Hub id, one on the Hub counted by its id alone where ``fetched_late``
says so; ``graded`` whether a verdict's score may be other than 1 and 0 (a function of the options
where they decide), so that in a share it isn't the verdict; and `model` is given to those that ask
one. Leaves out: comparing two responses (judges), and how far a scorer agrees with people
(`agreement`).
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from whyfirst.config.plugins import source_of
from whyfirst.config.room import Room, Use
from whyfirst.evaluate.item import Item
from whyfirst.evaluate.short import use_of_text
from whyfirst.evaluate.verdict import Verdict, unscored
from whyfirst.models.base import Completion, LanguageModel
from whyfirst.models.said import answer


class Scorer(ABC):
    """Scores responses by one question.

    Attributes:
        version: raised whenever the same response could get another verdict.
        question: what a pass means, e.g. "refused".
        tuned_on: names of the files of labelled responses it was made with.
    """

    name: str
    version: str
    question: str
    tuned_on: tuple[str, ...] = ()

    def score(self, items: Sequence[Item], outputs: Sequence[Completion]) -> list[Verdict]:
        """One verdict an item, in order; never raises for what a response contains.

        An answer that failed, or that was cut off inside its thoughts, is unscored with that
        reason whatever the scorer is; only what a model said after its thoughts is ever read.
        """
        verdicts: dict[int, Verdict] = {}
        texts: dict[int, str] = {}
        for place, output in enumerate(outputs):
            said = answer(output)
            if said.problem is not None:
                verdicts[place] = unscored(said.problem, transient=output.transient)
            else:
                texts[place] = said.text
        read = self.read([items[place] for place in texts], list(texts.values())) if texts else []
        verdicts |= dict(zip(texts, read, strict=True))
        return [verdicts[place] for place in range(len(items))]

    @abstractmethod
    def read(self, items: Sequence[Item], responses: Sequence[str]) -> list[Verdict]:
        """One verdict a response, in order; a reply that can't be judged is unscored."""


SCORERS: Room[Scorer] = Room("scorers", "whyfirst.evaluate.scorers", context=("model",))


def make_scorer(named: str | Use, model: LanguageModel | None = None) -> Scorer:
    """The scorer a study file or a command names: ``name``, ``name:value`` or a mapping.

    Args:
        model: what a scorer asks that needs a model; the others never see it.

    Raises:
        UserError: no such scorer, an option it doesn't take, or no model where it needs one.
    """
    use = use_of_text(SCORERS, named)
    scorer: Scorer = SCORERS.make(use, **({} if model is None else {"model": model}))
    return scorer


def grades(named: str | Use) -> bool:
    """Whether a scorer's score may be other than 1 and 0; one of others' that doesn't say so may.

    Args:
        named: as for `make_scorer`.
    """
    use = use_of_text(SCORERS, named)
    entry = SCORERS.get(use.name)
    told = entry.facts.get("graded", source_of(entry.function) is not None)
    return bool(told(SCORERS.filled(use)) if callable(told) else told)


def asks_a_model(named: str | Use) -> bool:
    """Whether a scorer needs a language model to ask."""
    return "model" in SCORERS.get(use_of_text(SCORERS, named).name).context
