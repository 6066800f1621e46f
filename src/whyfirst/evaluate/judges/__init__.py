"""Judges: two responses to one prompt -> which is better; calibrations: a judge -> a better one.

A judge is entered as a function of its options that gives a `Judge`; a calibration as a function of
a judge and its options that gives another. `model` is given to those that ask one. A judge's facts:
``draws`` (whether it draws replies), ``scores`` (whether it says how good each response is) and
``orders`` (how many it asks; else its option of that name says it). A calibration's: ``on``, which
of ``draws``, ``samples``, ``scores`` and ``one order`` it works on. Leaves out: scoring one
response (scorers), and what becomes of two arms' responses (`comparison`).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from whyfirst.config.room import Room, Use
from whyfirst.evaluate.short import use_of_text
from whyfirst.models.base import Completion, LanguageModel
from whyfirst.models.said import answer

Winner = Literal["a", "b", "tie"]
TURNED: dict[Winner, Winner] = {"a": "b", "b": "a", "tie": "tie"}


@dataclass(frozen=True)
class Pair:
    """Two responses to one request; those at another seed are another pair of the same id.

    Args:
        turned: they have changed places, and so names, against the rows that they come from.
    """

    id: str
    prompt: str
    a: Completion
    b: Completion
    seed: int | None = None
    turned: bool = False

    @property
    def swapped(self) -> "Pair":
        """The same pair with b shown first."""
        return replace(self, a=self.b, b=self.a, turned=not self.turned)


@dataclass(frozen=True)
class Preference:
    """Which of two responses is better; inconsistent under swapping counts as a tie.

    Args:
        winner: a, b or tie; None if there is none.
        reason: why there is none; None otherwise.
        scores: how good a and b are to the judge, where it says so; each in [0, 1].
        samples: the winners of single replies, where several were drawn.
        consistent: whether both orders named the same winner; None if only one was asked.
        slot: the slot that won in both orders, where they were inconsistent for its sake.
        transient: the reason may be gone when the same is asked again.
        raw: the reply of a model that was asked, where there is no winner for its sake.
    """

    winner: Winner | None
    reason: str | None = None
    scores: tuple[float, float] | None = None
    samples: tuple[Winner, ...] = ()
    consistent: bool | None = None
    slot: Literal["first", "second"] | None = None
    transient: bool = False
    raw: str | None = None

    def __post_init__(self) -> None:
        if (self.winner is None) != bool(self.reason):
            raise ValueError("no winner needs a reason, and nothing else has one")

    @property
    def swapped(self) -> "Preference":
        """The same preference where a and b have changed names."""
        return replace(
            self,
            winner=None if self.winner is None else TURNED[self.winner],
            scores=None if self.scores is None else self.scores[::-1],
            samples=tuple(TURNED[one] for one in self.samples),
        )


class Judge(ABC):
    """Compares two responses by one criterion.

    Attributes:
        version: raised whenever the same pair could get another preference.
        criterion: what the better response is more of, e.g. "helpful".
    """

    name: str
    version: str
    criterion: str

    def compare(self, pairs: Sequence[Pair], samples: int = 1) -> list[Preference]:
        """One preference a pair, in order; never raises for what a response contains.

        A pair of which an answer failed, or was cut off inside its thoughts, has none, with that
        reason, whatever the judge is; only what was said after the thoughts is ever compared.

        Args:
            samples: how many replies to draw, for judges that reply; the majority counts.
        """
        found: dict[int, Preference] = {}
        said: dict[int, Pair] = {}
        for place, pair in enumerate(pairs):
            two = [(answer(output), output) for output in (pair.a, pair.b)]
            failed = [(s.problem, o.transient) for s, o in two if s.problem is not None]
            empty = [s for s, _ in two if not s.text.strip()]
            if failed:
                found[place] = Preference(None, failed[0][0], transient=failed[0][1])
            elif empty:
                found[place] = Preference(None, "empty response")
            else:
                a, b = (replace(output, text=one.text) for one, output in two)
                said[place] = replace(pair, a=a, b=b)
        decided = self.decide(list(said.values()), samples) if said else []
        found |= dict(zip(said, decided, strict=True))
        return [found[place] for place in range(len(pairs))]

    @abstractmethod
    def decide(self, pairs: Sequence[Pair], samples: int) -> list[Preference]:
        """One preference a pair of readable responses, in order."""


JUDGES: Room[Judge] = Room("judges", "whyfirst.evaluate.judges", context=("model",))
CALIBRATIONS: Room[Judge] = Room(
    "calibrations", "whyfirst.evaluate.judges.calibrations", context=("model",)
)


def make_judge(
    named: str | Use,
    calibrations: Sequence[str | Use] = (),
    model: LanguageModel | None = None,
) -> Judge:
    """The judge a file or command names, with its calibrations, the first one innermost.

    Raises:
        UserError: no such judge or calibration, a wrong option, or no model where one is needed.
    """
    context = {} if model is None else {"model": model}
    judge: Judge = JUDGES.make(use_of_text(JUDGES, named), **context)
    for calibration in calibrations:
        judge = CALIBRATIONS.make(use_of_text(CALIBRATIONS, calibration), **context)(judge)
    return judge


_LACKING = {
    "draws": "it counts several replies, and the judge draws none",
    "samples": "it weighs several replies; put `multiple_evidence` of more than one inside of it",
    "scores": "it weighs scores, and the judge gives none",
    "one order": "it asks both orders, and so does what it is put round",
}


def idle_calibrations(judge: Use, calibrations: Sequence[Use]) -> Iterator[tuple[int, str]]:
    """Calibrations that can't change what the judge says: (which, why), the innermost first.

    Of a judge that doesn't say what it does (somebody's own), nothing is known.
    """
    facts, filled = JUDGES.get(judge.name).facts, JUDGES.filled(judge)
    has = {name: facts.get(name) for name in ("draws", "scores")}
    has["samples"] = None if has["draws"] is None else False
    orders = getattr(filled, "orders", facts.get("orders"))
    has["one order"] = None if orders is None else orders == 1
    for place, use in enumerate(calibrations):
        on = str(CALIBRATIONS.get(use.name).facts.get("on", ""))
        if has.get(on) is False:
            yield place, f"has no effect on {judge.name!r}: {_LACKING[on]}"
        if on == "draws" and has["draws"]:
            has["samples"] = getattr(CALIBRATIONS.filled(use), "samples", 1) > 1
        if on in ("scores", "one order"):
            has["one order"] = False


def both_orders(forward: Preference, backward: Preference) -> Preference:
    """One preference from two; what either found out about slots itself stays in it.

    Args:
        forward: asked with a shown first.
        backward: asked with b shown first, where a winner ``a`` is the response shown first.
    """
    failed = next((one for one in (forward, backward) if one.reason is not None), None)
    if failed is not None:
        return Preference(None, failed.reason, transient=failed.transient, raw=failed.raw)
    back = backward.swapped
    scores = None
    if forward.scores and back.scores:
        scores = (
            (forward.scores[0] + back.scores[0]) / 2,
            (forward.scores[1] + back.scores[1]) / 2,
        )
    samples = forward.samples + back.samples
    winner = forward.winner if forward.winner == back.winner else "tie"
    slot: Literal["first", "second"] | None = None
    if False in (forward.consistent, backward.consistent):
        # A judge of both orders has made ties of the pairs that its slot decided.
        slot = forward.slot if forward.slot == backward.slot else None
    elif forward.winner == back.winner:
        return Preference(winner, scores=scores, samples=samples, consistent=True)
    elif forward.winner == backward.winner:
        slot = "first" if forward.winner == "a" else "second"
    return Preference(winner, scores=scores, samples=samples, consistent=False, slot=slot)
