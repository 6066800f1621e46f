"""Ratings of words against people's norms: ``word_norms``.

Trott 2024 and Conde et al. 2025, "Psycholinguistic Word Features: a New Approach for the Evaluation
of LLMs Alignment with Humans" (arXiv 2506.22439): people's instruction, and the expected rating
from the probabilities of the scale's numbers, which agrees better than the likeliest. Leaves out:
shipping the Glasgow and Lancaster norms.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from whyfirst.config.errors import DataError
from whyfirst.data.published import number
from whyfirst.evaluate.audits.conditions import Answer, Ask, Shares, by_rows, rows_of, scored
from whyfirst.evaluate.benchmark import Metric, benchmark
from whyfirst.evaluate.gaps import paired_gaps
from whyfirst.evaluate.item import ItemResult, limited
from whyfirst.models.base import asked

CLOSENESS = Metric(
    "word_norms", "Word norms",
    "Mean of 1 - |rating - people's mean| / width of the scale, of the expected and of the "
    "likeliest rating.", "score",
)  # fmt: skip
EXPECTED, LIKELIEST = "expected", "likeliest"


@benchmark(
    "word_norms",
    version="2",
    definition="Ratings of words by the probabilities of the scale's numbers.",
    needs="word_norms.jsonl of word, feature, mean and, if it isn't 1 to 7, low and high",
    metrics=(CLOSENESS,),
    source="Conde et al. 2025 (arXiv 2506.22439)",
    by=("group", "split"),
    gaps=paired_gaps((EXPECTED, LIKELIEST)),
    example={"word_norms.jsonl": '{"word": "boat", "feature": "concreteness", "mean": 6.5}\n'},
)
def word_norms(*, data: Path, limit: int | None = None) -> Shares:
    """Every word on its feature; the record's split is the feature."""
    rows = rows_of(data, "word_norms.jsonl", "word_norms", ["word", "feature"])
    rows = limited(rows, limit, lambda row: str(row["id"]))
    for row in rows:
        at = f"{data}: {row['id']}"
        low = number(at, row, "low", 1)
        high = number(at, row, "high", 7, low + 1, low + 100)
        if not low.is_integer() or not high.is_integer():
            raise DataError(f"{at}: a scale from {low:g} to {high:g} isn't one of whole numbers")
        # Every number of the scale is an answer whose probability is asked for.
        row["scale"] = range(int(low), int(high) + 1)
        if high > 9 and len(row["scale"]) > len(ascii_uppercase):
            raise DataError(f"{at}: a scale from {low:g} to {high:g} has more than 26 numbers")
        number(at, row, "mean", low=low, high=high)  # else the scale isn't the one people had
    return by_rows(rows, _asks, _read, lambda row: str(row["word"]))


def _asks(row: dict[str, Any]) -> Iterable[Ask]:
    scale: range = row["scale"]
    text = (
        f"Rate the word on a scale of {row['feature']} from {scale[0]} (very low) to {scale[-1]} "
        "(very high). "
    )
    options, how = tuple(map(str, scale)), "Answer with a number only."
    if scale[-1] > 9 or scale[0] < 0:
        # The probability of 1 would hold that of 10; a letter begins no other.
        options = tuple(ascii_uppercase[: len(scale)])
        said = ", ".join(f"{letter} for {n}" for letter, n in zip(options, scale, strict=True))
        how = f"Answer with a letter only: {said}."
    yield Ask(row["id"], asked(f"{text}{how}\nWord: {row['word']}"), options)


def _read(row: dict[str, Any], answers: Sequence[Answer]) -> Iterable[ItemResult]:
    scale, (said,) = row["scale"], answers
    rated = {EXPECTED: expected(scale, said.shares), LIKELIEST: likeliest_of(scale, said)}
    for group, rating in rated.items():
        near = 1 - abs(rating - float(row["mean"])) / (scale[-1] - scale[0])
        about = {"topic": row["word"], "group": group, "split": row["feature"]}
        yield scored(f"{row['id']}/{group}", CLOSENESS.name, answers, near, **about)


def expected(scale: Sequence[float], shares: Sequence[float]) -> float:
    """The expected rating; 0 without shares."""
    return sum(k * share for k, share in zip(scale, shares, strict=False))


def likeliest_of(scale: Sequence[float], answer: Answer) -> float:
    """The rating of the largest share; 0 without shares."""
    return scale[answer.shares.index(max(answer.shares))] if answer.shares else 0.0
