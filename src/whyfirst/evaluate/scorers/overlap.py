"""Words in common: with reference answers (``overlap``), and with evidence (``k_precision``).

Adlakha et al. 2023, "Evaluating Correctness and Faithfulness of Instruction-Following Models for
Question Answering" (Instruct-QA), arXiv 2307.16877. Counts are of words as in SQuAD: lower case,
without punctuation and articles. Leaves out: BERTScore, BEM and Q².
"""

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Annotated, Literal

from pydantic import Field

from whyfirst.evaluate.item import Item
from whyfirst.evaluate.scorers import SCORERS, Scorer
from whyfirst.evaluate.verdict import Verdict, unscored

PAPER = "Adlakha et al. 2023, arXiv 2307.16877"
Share = Annotated[float, Field(ge=0, le=1)]
_DROPPED = re.compile(rf"[{re.escape(string.punctuation)}]|\b(?:a|an|the)\b")


def words(text: str) -> list[str]:
    """Its words, normalised."""
    return _DROPPED.sub(" ", text.lower()).split()


def recall(response: list[str], reference: list[str]) -> float:
    """Share of the reference's words, of which there are some, in the response."""
    return (Counter(response) & Counter(reference)).total() / len(reference)


def precision(response: list[str], reference: list[str]) -> float:
    """Share of the response's words in the reference; 0 for an empty response."""
    return (Counter(response) & Counter(reference)).total() / len(response) if response else 0.0


def f1(response: list[str], reference: list[str]) -> float:
    """Harmonic mean of the two."""
    p, r = precision(response, reference), recall(response, reference)
    return 2 * p * r / (p + r) if p + r else 0.0


METRICS: dict[str, Callable[[list[str], list[str]], float]] = {
    "recall": recall, "precision": precision, "f1": f1,
    "exact": lambda response, reference: float(response == reference),
    "contains": lambda response, reference: float(
        f" {' '.join(reference)} " in f" {' '.join(response)} "
    ),
}  # fmt: skip


def k_precision_of(response: str, evidence: Sequence[str], question: str = "") -> float:
    """Share of the response's words in the evidence; those of the `question` don't count."""
    asked = set(words(question))
    said = [word for word in words(response) if word not in asked]
    return precision(said, words(" ".join(evidence))) if said else float(bool(question))


class _ByRule(Scorer):
    def __init__(
        self, name: str, version: str, question: str, least: float,
        rule: Callable[[Item, str], float | None],
    ) -> None:  # fmt: skip
        self.name, self.version, self.question = name, version, question
        self.least, self.rule = least, rule

    def read(self, items: Sequence[Item], responses: Sequence[str]) -> list[Verdict]:
        """See `Scorer.read`."""
        out = []
        for item, response in zip(items, responses, strict=True):
            score = self.rule(item, response)
            if score is None:
                out.append(unscored("nothing to compare with"))
            else:
                out.append(Verdict("pass" if score >= self.least else "fail", score=score))
        return out


@SCORERS.enter(
    "overlap", version="2", question="correct", paper=PAPER, graded=True,
    needs="items with reference answers of more than articles and marks",
    tested="'paris is the capital' against 'Paris': recall 1, precision 1/3, F1 1/2",
)  # fmt: skip
def overlap(
    *,
    metric: Literal["recall", "precision", "f1", "exact", "contains"] = "recall",
    least: Share = 0.5,
) -> Scorer:
    """Words in common with the best of the reference answers.

    Args:
        least: what passes.
    """

    def rule(item: Item, response: str) -> float | None:
        # "The" and "+" have no words, and whatever is said would have all of them.
        references = [normal for normal in map(words, item.correct) if normal]
        scores = [METRICS[metric](words(response), normal) for normal in references]
        return max(scores, default=None)

    return _ByRule(f"overlap-{metric}", "2", "correct", least, rule)


@SCORERS.enter(
    "k_precision", question="grounded", paper=PAPER, needs="items with evidence", graded=True,
    tested="a copy of the evidence: 1; one unsupported word: lower by exactly 1 / words",
)  # fmt: skip
def k_precision(*, without_question: bool = False, least: Share = 0.5) -> Scorer:
    """Share of the response's words that stand in the evidence.

    Args:
        without_question: words of the request don't count ("K-Precision++").
        least: what passes.
    """

    def rule(item: Item, response: str) -> float | None:
        question = item.request if without_question else ""
        return k_precision_of(response, item.evidence, question) if item.evidence else None

    return _ByRule("k_precision", "1", "grounded", least, rule)
