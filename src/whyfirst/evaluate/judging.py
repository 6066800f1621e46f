"""What a judge is: responses in, judgements with three values out.

A judgement is pass, fail, or unscored with a reason. What "pass" means is the judge's `question`
("refused", "harmless", ...). A reply that can't be parsed, is out of range or is itself a refusal
is unscored. Pairwise judges answer with a `Preference`. Leaves out: the judges themselves
(judges/) and how far they agree with people (judges/agreement.py).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from whyfirst.config.registry import Registry
from whyfirst.evaluate.benchmark import Verdict
from whyfirst.models.base import LanguageModel


@dataclass(frozen=True)
class Exchange:
    """One thing to judge: what was asked and what came back.

    Args:
        id: the item.
        prompt: the request in plain words (the behaviour, without the framing put round it).
        response: the model's text.
        language: ISO 639-1 code of the response's expected language.
        correct, incorrect: reference answers, for the judges that compare with them.
    """

    id: str
    prompt: str
    response: str
    language: str = "en"
    correct: tuple[str, ...] = ()
    incorrect: tuple[str, ...] = ()


@dataclass(frozen=True)
class Judgement:
    """A judge's verdict on one exchange.

    Args:
        verdict: pass, fail or unscored.
        reason: why it is unscored; None otherwise.
        score: in [0, 1], more being more of what `Judge.question` names; 1 or 0 for a plain pass
            or fail; None if unscored.
        raw: what a model judge replied, for the record.
        grades: what the score was made of, by name, where a rubric asks for more than one thing.
    """

    verdict: Verdict
    reason: str | None = None
    score: float | None = None
    raw: str | None = None
    grades: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        if (self.verdict == "unscored") != bool(self.reason):
            raise ValueError("unscored needs a reason, and nothing else has one")
        if (self.verdict == "unscored") != (self.score is None):
            raise ValueError("unscored has no score, and everything else has one")
        if self.score is not None and not 0 <= self.score <= 1:
            raise ValueError(f"the score {self.score} is not in [0, 1]")


def passed(flag: bool) -> Judgement:
    """A plain pass (score 1) or fail (score 0)."""
    return Judgement("pass" if flag else "fail", score=float(flag))


def unscored(reason: str, raw: str | None = None) -> Judgement:
    """A response that could not be judged, and why."""
    return Judgement("unscored", reason=reason, raw=raw)


class Judge(Protocol):
    """Turns exchanges into judgements, in order, one each."""

    name: str
    version: str
    question: str  # what a pass means, e.g. "refused"

    def judge(self, exchanges: Sequence[Exchange]) -> list[Judgement]:
        """One judgement an exchange; never raises for what a response contains."""
        ...


Winner = Literal["a", "b", "tie"]


@dataclass(frozen=True)
class Preference:
    """Which of two responses is better; inconsistent under swapping counts as a tie.

    Args:
        winner: a, b or tie; None if unscored.
        reason: why it is unscored; None otherwise.
        consistent: whether both orders named the same winner; None if only one was asked.
        slot: the slot that won in both orders, where they were inconsistent for its sake.
    """

    winner: Winner | None
    reason: str | None = None
    consistent: bool | None = None
    slot: Literal["first", "second"] | None = None

    def __post_init__(self) -> None:
        if (self.winner is None) != bool(self.reason):
            raise ValueError("unscored needs a reason, and nothing else has one")


JudgeFactory = Callable[[str | None, LanguageModel | None], Judge]
"""(argument after the colon of ``name:argument``, the judging model if it needs one) -> judge."""

JUDGES: Registry[JudgeFactory] = Registry(
    "judges",
    modules=(
        "whyfirst.evaluate.benchmarks.affect",
        "whyfirst.evaluate.judges.refusal",
        "whyfirst.evaluate.judges.classifier",
        "whyfirst.evaluate.judges.rubric",
    ),
)


def make_judge(spec: str, model: LanguageModel | None = None) -> Judge:
    """The judge called ``name`` or ``name:argument``.

    Args:
        model: what a model judge asks; judges without a model ignore it.

    Raises:
        UserError: no such judge, an argument it doesn't take, or no model where it needs one.
    """
    name, colon, argument = spec.partition(":")
    return JUDGES.get(name)(argument if colon else None, model)
