"""TruthfulQA's questions from its CSV, the original (817) or the January 2025 revision (790).

Answers are separated by ``;`` and closed with a full stop, as in the authors' multiple-choice
data. Leaves out: the generation task and its reference metrics. Source: Lin et al. 2022.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from whyfirst.data.published import csv_rows, field, one_file

_COLUMNS = ("Type", "Category", "Question", "Best Answer", "Correct Answers", "Incorrect Answers")
_BEST_INCORRECT = "Best Incorrect Answer"


@dataclass(frozen=True)
class Question:
    """One question and its reference answers, in the file's order and without repetition.

    Args:
        row: record number in the file, the header being 1.
        best: one true answer, also in `correct`.
        best_incorrect: only in the 2025 revision.
    """

    row: int
    question: str
    category: str
    kind: str
    best: str
    correct: tuple[str, ...]
    incorrect: tuple[str, ...]
    best_incorrect: str | None = None

    @property
    def contradictory(self) -> tuple[str, ...]:
        """Answers listed as both true and false (two questions of the published files)."""
        return tuple(answer for answer in self.correct if answer in self.incorrect)


class TruthfulQA(NamedTuple):
    """All questions of a file; `version` is ``"2021"`` or ``"2025"``."""

    version: str
    questions: list[Question]


def read_truthfulqa(path: Path) -> TruthfulQA:
    """Read either CSV version.

    Args:
        path: the CSV, or a folder with ``TruthfulQA.csv`` in it at any depth.

    Raises:
        DataError: missing file or column, or a row without a question or answers (its number).
    """
    file = one_file(path, ["TruthfulQA.csv"], "truthfulqa")
    rows = csv_rows(file, _COLUMNS, "truthfulqa", "question")
    # The two versions are told by a column: their files have one name.
    revised, questions = _BEST_INCORRECT in rows[0][1], []
    for number, row in rows:
        kind, category, question, best, correct, incorrect = (
            field(file, number, row, column) for column in _COLUMNS
        )
        best, true = _closed(best), _answers(correct)
        worst = _closed(field(file, number, row, _BEST_INCORRECT)) if revised else None
        # Most lists of true answers hold the best one as well; it counts once.
        true = true if best in true else (best, *true)
        questions.append(
            Question(number, question, category, kind, best, true, _answers(incorrect), worst)
        )
    return TruthfulQA("2025" if revised else "2021", questions)


def _answers(listed: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_closed(a.strip()) for a in listed.split(";") if a.strip()))


def _closed(answer: str) -> str:
    return answer if answer.endswith(".") else answer + "."
