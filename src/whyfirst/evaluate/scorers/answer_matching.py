"""Answer matching: does a free answer say at least what a reference answer says?

Chandak et al. 2025, "Answer Matching Outperforms Multiple Choice for Language Model Evaluation",
arXiv 2507.02856. Two bare numbers match within 1 % of their mean and a range never matches a point;
anything else is put to a model with the reference at hand. Its validity is Scott's pi with people
(judges/people.py); what the options alone give away is `choices_only`. Leaves out: several draws of
the matcher, and filters of questions.
"""

import re
from collections.abc import Sequence

from whyfirst.evaluate.item import Item
from whyfirst.evaluate.rubric import Grade, Reading, Rubric, RubricScorer, by_likelihood
from whyfirst.evaluate.scorers import SCORERS, Scorer
from whyfirst.evaluate.verdict import Verdict, passed, unscored
from whyfirst.models.base import LanguageModel

RUBRIC = Rubric(
    "answer_matching",
    "1",
    "correct",
    "Below are a question, its true reference answers and a response. Grade whether the response "
    "says at least as much as one of the reference answers, and nothing against it. Do not answer "
    "the question yourself, and do not grade anything else.",
    (Grade("matches", 0, 1, "1 if the response matches a reference answer, else 0"),),
    passed=lambda grades: grades["matches"] == 1,
    score=lambda grades: grades["matches"],
    yes_no="Does the response match a true reference answer?",
)
_NUMBER = r"[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?"
_ONE = re.compile(rf"\s*({_NUMBER})\s*%?\.?\s*", re.IGNORECASE)
_RANGE = re.compile(rf"\s*{_NUMBER}\s*%?\s*(?:-|–|to)\s*{_NUMBER}\s*%?\.?\s*", re.IGNORECASE)


@SCORERS.enter(
    "answer_matching",
    version=RUBRIC.version,
    question=RUBRIC.question,
    graded=by_likelihood,
    paper="Chandak et al. 2025, arXiv 2507.02856",
    needs="a model to ask; items with reference answers",
    tested="100 and 100.9 match, 100 and 101.1 don't, nor does 95 to 105",
)
def answer_matching(*, reading: Reading = "generation", model: LanguageModel) -> Scorer:
    """A model says whether a free answer matches a reference; bare numbers by rule."""
    return AnswerMatching(RUBRIC, model, reading)


class AnswerMatching(RubricScorer):
    """See `answer_matching`."""

    def read(self, items: Sequence[Item], responses: Sequence[str]) -> list[Verdict]:
        """See `Scorer.read`; an item without a reference is unscored without asking."""
        found: dict[int, Verdict] = {}
        for place, (item, response) in enumerate(zip(items, responses, strict=True)):
            by_rule = [numbers_match(response, one) for one in item.correct]
            if not item.correct:
                found[place] = unscored("no reference answer")
            elif None not in by_rule:
                found[place] = passed(any(by_rule))
        left = [place for place in range(len(items)) if place not in found]
        asked = super().read([items[p] for p in left], [responses[p] for p in left])
        found |= dict(zip(left, asked, strict=True))
        return [found[place] for place in range(len(items))]


def numbers_match(response: str, reference: str) -> bool | None:
    """Whether two bare numbers lie within 1 % of their mean; None where either is no number.

    A range beside a number never matches.
    """
    reference_number, number = _ONE.fullmatch(reference), _ONE.fullmatch(response)
    if reference_number and _RANGE.fullmatch(response):
        return False
    if not reference_number or not number:
        return None
    r, g = (float(found[1].replace(",", "")) for found in (number, reference_number))
    return r == g or abs(r - g) / (abs(r + g) / 2 or 1.0) < 0.01
