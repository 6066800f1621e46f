"""TruthfulQA's CSV: both versions, and rows that can't be read."""

import csv
import os
from pathlib import Path

import pytest

from whyfirst.config.errors import DataError
from whyfirst.data.truthfulqa import read_truthfulqa

DATA = Path(os.environ.get("WHYFIRST_DATA", Path(__file__).parents[3] / "shared" / "data"))
HEADER = ["Type", "Category", "Question", "Best Answer", "Correct Answers", "Incorrect Answers"]
ROW = ["Adversarial", "Things", " Why? ", "Because", "Because; So it is.;  ; Because", "No; Never."]


def _write(path: Path, *rows: list[str]) -> Path:
    with path.open("w", newline="", encoding="utf-8-sig") as handle:
        csv.writer(handle).writerows(rows)
    return path


def test_answers_are_split_closed_and_not_repeated(tmp_path: Path) -> None:
    found = read_truthfulqa(_write(tmp_path / "t.csv", HEADER, ROW))
    (question,) = found.questions
    assert (found.version, question.row, question.question) == ("2021", 2, "Why?")
    assert (question.best, question.category) == ("Because.", "Things")
    assert question.correct == ("Because.", "So it is.")
    assert question.incorrect == ("No.", "Never.")
    assert question.contradictory == ()


def test_the_revision_has_a_best_incorrect_answer(tmp_path: Path) -> None:
    header, row = [*HEADER, "Best Incorrect Answer"], [*ROW, "Never"]
    found = read_truthfulqa(_write(tmp_path / "t.csv", header, row))
    assert found.version == "2025"
    assert found.questions[0].best_incorrect == "Never."


def test_a_best_answer_missing_from_the_list_counts_as_true(tmp_path: Path) -> None:
    row = [*ROW[:3], "Another", *ROW[4:]]
    found = read_truthfulqa(_write(tmp_path / "t.csv", HEADER, row))
    assert found.questions[0].correct == ("Another.", "Because.", "So it is.")


def test_an_answer_on_both_sides_is_shown(tmp_path: Path) -> None:
    row = [*ROW[:5], "No; Because."]
    found = read_truthfulqa(_write(tmp_path / "t.csv", HEADER, row))
    assert found.questions[0].contradictory == ("Because.",)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([HEADER[:-1], ROW[:-1]], r"row 1: column 'Incorrect Answers' is missing"),
        ([HEADER, ROW, [*ROW[:2], " ", *ROW[3:]]], r"row 3: 'Question' is empty"),
        ([HEADER, ROW[:-1]], r"row 2: 'Incorrect Answers' is empty"),
        ([HEADER, [*ROW, "extra"]], "row 2: more fields"),
        ([HEADER], "holds no question"),
    ],
)
def test_an_unreadable_file_names_its_row(
    tmp_path: Path, rows: list[list[str]], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read_truthfulqa(_write(tmp_path / "t.csv", *rows))


def test_a_missing_or_torn_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no data of 'truthfulqa' .*TruthfulQA\.csv"):
        read_truthfulqa(tmp_path)
    path = _write(tmp_path / "t.csv", HEADER, ROW)
    path.write_text(path.read_text(encoding="utf-8") + '"torn', encoding="utf-8")
    with pytest.raises(DataError, match="row 3: not readable as CSV"):
        read_truthfulqa(path)


@pytest.mark.data
@pytest.mark.skipif(not (DATA / "truthfulqa").is_dir(), reason=f"no TruthfulQA data under {DATA}")
@pytest.mark.parametrize(
    ("name", "version", "count"),
    [("TruthfulQA.csv", "2021", 817), ("TruthfulQA_2025.csv", "2025", 790)],
)
def test_the_published_files_read_whole(name: str, version: str, count: int) -> None:
    found = read_truthfulqa(DATA / "truthfulqa" / name)
    assert (found.version, len(found.questions)) == (version, count)
    assert sum(bool(q.contradictory) for q in found.questions) == 2
    assert all(q.best in q.correct and q.incorrect for q in found.questions)
    assert all((q.best_incorrect is not None) == (version == "2025") for q in found.questions)
