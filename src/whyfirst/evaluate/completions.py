"""A scorer against the people who labelled XSTest's completions (Röttger et al. 2024).

Five models × 450 answers, each labelled by two people as full compliance, full refusal or partial
refusal, and a final label. Reads the published CSV files. Leaves out: the XSTest benchmark itself,
which scores a model's own answers.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from whyfirst.config.errors import DataError
from whyfirst.data.published import csv_rows
from whyfirst.evaluate.agreement import (
    Agreement,
    agreement,
    confusion_of,
    kappa_interval,
)
from whyfirst.evaluate.correction import AgreementCard, usual_words
from whyfirst.evaluate.item import Item
from whyfirst.evaluate.rubric import parse_rate
from whyfirst.evaluate.scorers import Scorer
from whyfirst.evaluate.verdict import Verdict
from whyfirst.models.base import Completion
from whyfirst.stats.statistics import Interval

Reading = Literal["full or partial", "full only"]
READINGS: tuple[Reading, ...] = ("full or partial", "full only")
_COLUMNS = ("id", "prompt", "completion", "annotation_1", "annotation_2", "final_label")
_LABELS = {"1_full_compliance": "no", "2_full_refusal": "full", "3_partial_refusal": "partial"}
HELD_OUT = "held out"
_PREFIX = "xstest_v2_completions_"


@dataclass(frozen=True)
class Labelled:
    """One completion and its labels, each ``no``, ``full`` or ``partial`` (refusal)."""

    item: Item
    completion: Completion
    first: str
    second: str
    final: str


@dataclass(frozen=True)
class Row:
    """One file, or several together, against one scorer.

    Attributes:
        name: the model whose completions they are, or "held out" for all files the scorer was not
            tuned on.
        tuned: the scorer was tuned on the file.
        reading: which human labels count as a refusal.
        final: against the final label; `first` and `second`: kappa against each annotator.
        people: the two annotators' kappa with each other.
        reasons: why completions are unscored, with counts.
        parsed: share of a model judge's replies that could be parsed; None for other scorers.
        words: words of the 5 % shortest and of the 5 % longest completion.
    """

    name: str
    tuned: bool
    reading: Reading
    final: Agreement
    first: Interval | None
    second: Interval | None
    people: Interval | None
    reasons: dict[str, int]
    parsed: float | None
    words: tuple[int, int]

    @property
    def intervals(self) -> dict[str, Interval | None]:
        """Everything that has an interval, by name."""
        return {
            "kappa": self.final.kappa, "kappa_first": self.first, "kappa_second": self.second,
            "kappa_people": self.people, "sensitivity": self.final.sensitivity,
            "specificity": self.final.specificity,
        }  # fmt: skip


def read_completions(path: Path) -> list[Labelled]:
    """One model's labelled completions.

    Raises:
        DataError: missing file or column, or a row with an unknown label (its number).
    """
    found = []
    for number, row in csv_rows(path, _COLUMNS, "xstest", "completion"):
        labels = [row[name] for name in ("annotation_1", "annotation_2", "final_label")]
        # A new label read as "no refusal" would move every figure and be seen in none.
        unknown = [label for label in labels if label not in _LABELS]
        if unknown:
            known = ", ".join(_LABELS)
            raise DataError(f"{path}: row {number}: label {unknown[0]!r} is none of {known}")
        item = Item(row["id"], row["prompt"], row["prompt"])
        said = Completion(row["completion"], finished=True)
        found.append(Labelled(item, said, *(_LABELS[label] for label in labels)))
    return found


def completion_files(folder: Path) -> list[Path]:
    """The published files in a folder, sorted.

    Raises:
        DataError: there are none.
    """
    files = sorted(folder.glob(f"{_PREFIX}*.csv"))
    if not files:
        raise DataError(f"{folder}: no {_PREFIX}*.csv there; give XSTest's model_completions")
    return files


def agreement_rows(scorer: Scorer, files: Sequence[Path]) -> list[Row]:
    """A row for each file and reading, and one for all files the scorer was not tuned on.

    Raises:
        DataError: the scorer asks another question, or a file can't be read.
    """
    if scorer.question != "refused":
        raise DataError(
            f"scorer {scorer.name!r} asks {scorer.question!r}; the labels say 'refused'"
        )
    # Every file before the scorer, which may cost money, sees the first one.
    judged = [(path.stem, read_completions(path)) for path in files]
    answers = [
        scorer.score([one.item for one in labelled], [one.completion for one in labelled])
        for _, labelled in judged
    ]
    rows = []
    for reading in READINGS:
        held_out: tuple[list[Labelled], list[Verdict]] = ([], [])
        for (stem, items), found in zip(judged, answers, strict=True):
            tuned = stem in scorer.tuned_on
            rows.append(_row(stem.removeprefix(_PREFIX), tuned, reading, items, found))
            if not tuned:
                # Pooled and not averaged: five kappas of 450 have no common interval.
                held_out[0].extend(items)
                held_out[1].extend(found)
        if held_out[0]:
            rows.append(_row(HELD_OUT, False, reading, *held_out))
    return rows


def _row(
    name: str,
    tuned: bool,
    reading: Reading,
    items: Sequence[Labelled],
    found: Sequence[Verdict],
) -> Row:
    # People disagree most on partial refusals, so both readings are shown and neither is chosen.
    yes = {"full", "partial"} if reading == "full or partial" else {"full"}
    verdicts = [verdict.outcome for verdict in found]
    first, second = [item.first in yes for item in items], [item.second in yes for item in items]
    return Row(
        name=name,
        tuned=tuned,
        reading=reading,
        final=agreement(verdicts, [item.final in yes for item in items]),
        first=agreement(verdicts, first).kappa,
        second=agreement(verdicts, second).kappa,
        people=kappa_interval(confusion_of(first, second)),
        reasons=dict(Counter(verdict.reason for verdict in found if verdict.reason)),
        parsed=parse_rate(found),
        words=usual_words([item.completion.text for item in items]),
    )


def card_of(scorer: Scorer, rows: Sequence[Row], files: Sequence[Path]) -> AgreementCard:
    """The scorer's card: full and partial refusals count as yes, on files it was not tuned on.

    Raises:
        DataError: the scorer was tuned on all files.
    """
    held_out = [row for row in rows if row.name == HELD_OUT and row.reading == READINGS[0]]
    if not held_out:
        raise DataError(
            f"scorer {scorer.name!r} was tuned on every file given; it has no card then"
        )
    counts = held_out[0].final.confusion
    # What a scorer was made with would flatter it, so a card never counts it.
    measured_on = [path for path in files if path.stem not in scorer.tuned_on]
    return AgreementCard(
        judge=scorer.name,
        version=scorer.version,
        question=scorer.question,
        data="XSTest v2 model completions, final label; full and partial refusal count as refused",
        files=tuple(path.name for path in measured_on),
        models=tuple(path.stem.removeprefix(_PREFIX) for path in measured_on),
        words=held_out[0].words,
        unscored=held_out[0].final.unscored,
        **counts._asdict(),
    )
