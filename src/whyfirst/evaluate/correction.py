"""A judge's measured error, kept as a card, and rates corrected by it.

A rate of passes p* that a judge with sensitivity Se and specificity Sp reports is explained by a
true rate p with p* = p·Se + (1 − p)(1 − Sp); Rogan and Gladen (1978) solve for p. The interval is
Lang and Reiczigel's (2014), which counts the error of Se and Sp in. A correction holds where the
judge errs on the new responses as it did on the measured ones, which nothing here can check.
Leaves out: measuring (agreement.py, completions.py).
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

from whyfirst.config.errors import DataError
from whyfirst.config.files import read_json, write_json
from whyfirst.evaluate.agreement import Agreement, Confusion, from_confusion
from whyfirst.models.readable import units_of
from whyfirst.stats.statistics import Interval, Z

_CARDS = Path(__file__).parent / "cards"


@dataclass(frozen=True)
class AgreementCard:
    """One scorer's measured error: counts only, no text.

    Args:
        judge, version, question: as the judge says them.
        data: the labelled data set, and which label counts as yes.
        files: what was measured on, none of which the judge was tuned on.
        models: who wrote what was measured on; empty where a card doesn't say.
        words: how many words 9 of 10 of those responses have, from and to; (0, 0) where a card
            doesn't say.
        true_pass, false_pass, false_fail, true_fail: scored items (see `Confusion`).
        unscored: items it gave no verdict on.
    """

    judge: str
    version: str
    question: str
    data: str
    files: tuple[str, ...]
    true_pass: int
    false_pass: int
    false_fail: int
    true_fail: int
    unscored: int
    models: tuple[str, ...] = ()
    words: tuple[int, int] = (0, 0)

    @property
    def agreement(self) -> Agreement:
        """Kappa, sensitivity and specificity with their intervals."""
        counts = (self.true_pass, self.false_pass, self.false_fail, self.true_fail)
        return from_confusion(Confusion(*counts), self.unscored)

    def save(self, path: Path) -> None:
        """Write the card, with its figures for readers, as JSON."""
        found = self.agreement
        figures = {
            "kappa": found.kappa and found.kappa._asdict(),
            "sensitivity": found.sensitivity and found.sensitivity._asdict(),
            "specificity": found.specificity and found.specificity._asdict(),
        }
        write_json(path, {**asdict(self), "n": found.confusion.n, "figures": figures})

    @classmethod
    def load(cls, path: Path) -> "AgreementCard":
        """Read a card; its figures are computed again from its counts.

        Raises:
            DataError: missing, not JSON, or without the counts.
        """
        row = read_json(path)
        # Cards of older versions say neither who wrote the responses nor how long they are.
        names = [field.name for field in fields(cls) if field.name not in ("models", "words")]
        missing = [name for name in names if not isinstance(row, dict) or name not in row]
        if missing:
            raise DataError(f"{path}: no judge card: {missing[0]!r} is missing")
        given: dict[str, Any] = {name: row[name] for name in names}
        for name in ("true_pass", "false_pass", "false_fail", "true_fail", "unscored"):
            # The figures in the file are for readers; only the counts are trusted.
            if not isinstance(given[name], int) or given[name] < 0:
                raise DataError(f"{path}: {name} is {given[name]!r}; it must be a count")
        given |= {name: tuple(row[name]) for name in ("files", "models", "words") if name in row}
        return cls(**given)

    def unlike(self, responses: Sequence[str]) -> str:
        """Why what was measured says nothing of some responses; "" where nothing speaks against it.

        More than half of them are shorter or longer than 9 of 10 of those measured were. That a
        model writes in another manner at the same length can't be told.
        """
        low, high = self.words
        if not responses or not high:
            return ""
        short = sum(len(units_of(response)) < low for response in responses)
        long = sum(len(units_of(response)) > high for response in responses)
        if 2 * (short + long) <= len(responses):
            return ""
        manner = "shorter" if short >= long else "longer"
        return (
            f"{max(short, long)} of {len(responses)} responses are {manner} than what the "
            f"agreement was measured on ({low} to {high} words, by {', '.join(self.models)})"
        )


def usual_words(responses: Sequence[str]) -> tuple[int, int]:
    """Words of the 5 % shortest and of the 5 % longest response."""
    # Words or, in languages without spaces, characters.
    counts = sorted(len(units_of(response)) for response in responses)
    edge = len(counts) // 20
    return counts[edge], counts[-1 - edge]


def shipped_card(name: str, version: str) -> AgreementCard | None:
    """The card that ships for this judge and version; None where there is none."""
    path = _CARDS / f"{name}-{version}.json"
    return AgreementCard.load(path) if path.is_file() else None


class Corrected(NamedTuple):
    """A pass rate corrected for a judge's error.

    `rate` is among scored items, with its 95 % interval; `worst` and `best` are the corrected rate
    of all items if every unscored one had truly failed or passed.
    """

    rate: Interval
    worst: float
    best: float


def rogan_gladen(rate: float, n: float, card: AgreementCard) -> Interval:
    """The true pass rate behind a judge's, as fractions, cut to [0, 1].

    The value is (p* + Sp − 1) / (Se + Sp − 1) (Rogan and Gladen 1978). The limits are those of
    Lang and Reiczigel (2014): with z²/2 passes and fails added to the rate and one to each of Se
    and Sp, p' + d ± z √v, v the delta-method variance and
    d = 2z² (p' Se'(1−Se')/(n_Se+2) − (1−p') Sp'(1−Sp')/(n_Sp+2)).

    Args:
        rate: the judge's pass rate among scored items.
        n: how many items it is over; an effective number where items are not independent.

    Raises:
        DataError: the judge is no better than chance on its card (Se + Sp <= 1), or there is
            nothing to correct.
    """
    if not (0.0 <= rate <= 1.0 and n > 0):
        raise DataError(f"rogan_gladen: {rate} of {n} items is not a rate")
    # By the people's labels: the card's own judge has no say in how many were truly yes.
    n_yes, n_no = card.true_pass + card.false_fail, card.true_fail + card.false_pass
    if not n_yes or not n_no:
        raise DataError(f"judge {card.judge}: its card has no {'no' if n_yes else 'yes'} labels")
    youden = card.true_pass / n_yes + card.true_fail / n_no - 1.0
    if youden <= 0.0:
        raise DataError(
            f"judge {card.judge}: sensitivity + specificity is {youden + 1.0:.3f}; at or below 1 "
            "its verdicts carry no information, and no rate can be corrected by them"
        )
    value = (rate + card.true_fail / n_no - 1.0) / youden
    # Outside [0, 1] where the rate lies below what the judge's own errors give.
    value = min(1.0, max(0.0, value))
    # The limits are about a shrunk centre, and may not hold the value itself.
    low, high = _limits(rate, n, (card.true_pass, n_yes), (card.true_fail, n_no))
    return Interval(value, min(low, value), max(high, value))


def _limits(
    rate: float, n: float, yes: tuple[int, int], no: tuple[int, int]
) -> tuple[float, float]:
    # Agresti and Coull's way: z²/2 passes and fails more keep an interval off 0 and 1.
    square = Z**2
    size, size_yes, size_no = n + square, yes[1] + 2.0, no[1] + 2.0
    seen = (n * rate + square / 2.0) / size
    se, sp = (yes[0] + 1.0) / size_yes, (no[0] + 1.0) / size_no
    youden = se + sp - 1.0
    if youden <= 0.0:  # a card of very few items: the shrunk figures tell nothing
        return 0.0, 1.0
    true = (seen + sp - 1.0) / youden
    error_yes, error_no = se * (1.0 - se) / size_yes, sp * (1.0 - sp) / size_no
    variance = seen * (1.0 - seen) / size + true**2 * error_yes + (1.0 - true) ** 2 * error_no
    half = Z * math.sqrt(variance) / youden
    centre = true + 2.0 * square * (true * error_yes - (1.0 - true) * error_no)
    return min(1.0, max(0.0, centre - half)), min(1.0, max(0.0, centre + half))


def corrected_rate(passes: int, fails: int, unscored: int, card: AgreementCard) -> Corrected:
    """Correct counts of verdicts; unscored items widen the bounds and nothing else.

    Raises:
        DataError: as `rogan_gladen`, and where nothing is scored.
    """
    scored = passes + fails
    if scored == 0:
        raise DataError("corrected_rate: no item is scored")
    rate = rogan_gladen(passes / scored, scored, card)
    # The bounds are about all items, since nothing says that unscored ones are like the rest.
    true, total = rate.value * scored, scored + unscored
    return Corrected(rate, true / total, (true + unscored) / total)
