"""Is what a response says in its evidence: asked at once (``grounded``) or claim by claim.

``grounded`` is Instruct-QA's judged faithfulness (Adlakha et al. 2023, arXiv 2307.16877);
``align_score`` aggregates as AlignScore does (Zha et al. 2023, arXiv 2305.16739): the evidence in
chunks of about 350 words, the most over chunks, the mean over the response's sentences. Leaves out:
their encoder; any model that says whether a text follows from another serves.
"""

import re
from collections.abc import Callable, Sequence

from whyfirst.evaluate.item import Item
from whyfirst.evaluate.rubric import Grade, Reading, Rubric, RubricScorer, by_likelihood
from whyfirst.evaluate.scorers import SCORERS, Scorer
from whyfirst.evaluate.verdict import Verdict, unscored
from whyfirst.models.base import Completion, LanguageModel

RUBRIC = Rubric(
    "grounded",
    "1",
    "grounded",
    "Below are a request, passages of evidence and a response. Grade whether everything that the "
    "response states follows from the evidence, true or not.",
    (Grade("grounded", 0, 1, "0 if it states anything that the evidence does not, else 1"),),
    passed=lambda grades: grades["grounded"] == 1,
    score=lambda grades: grades["grounded"],
    yes_no="Does everything that the response states follow from the evidence?",
)
Entails = Callable[[Sequence[tuple[str, str]]], list[Verdict]]
"""(premise, hypothesis) pairs -> verdicts whose score is how far the one follows."""


def sentences(text: str) -> list[str]:
    """Its sentences."""
    return [part for part in re.split(r"(?<=[.!?])\s+", text.strip()) if part]


def chunks(text: str, size: int = 350) -> list[str]:
    """The text in about equal parts of whole sentences: one more than `size` goes into it."""
    parts = sentences(text)
    each = max(len(parts) // (len(text.split()) // size + 1), 1)
    return [" ".join(parts[at : at + each]) for at in range(0, len(parts), each)]


def align(evidence: str, response: str, entails: Entails) -> Verdict:
    """The mean over the response's sentences of the most that any chunk entails it."""
    premises, claims = chunks(evidence), sentences(response)
    found = entails([(premise, claim) for claim in claims for premise in premises])
    failed = next((one for one in found if one.score is None), None)
    if failed is not None:
        return unscored(str(failed.reason), transient=failed.transient)
    scores = [one.score or 0.0 for one in found]
    most = [max(scores[at : at + len(premises)]) for at in range(0, len(scores), len(premises))]
    mean = sum(most) / len(most)
    return Verdict("pass" if mean >= 0.5 else "fail", score=mean)


class AlignScore(Scorer):
    """See `align_score`."""

    name, question = "align_score", "grounded"

    def __init__(self, judge: Scorer) -> None:
        self.judge, self.version = judge, f"1-{judge.version}"

    def read(self, items: Sequence[Item], responses: Sequence[str]) -> list[Verdict]:
        """See `Scorer.read`."""
        return [
            align(" ".join(item.evidence), response, self._entails)
            if item.evidence and response.strip()
            else unscored("empty response" if item.evidence else "nothing to compare with")
            for item, response in zip(items, responses, strict=True)
        ]

    def _entails(self, pairs: Sequence[tuple[str, str]]) -> list[Verdict]:
        items = [Item("", "", "", evidence=(premise,)) for premise, _ in pairs]
        return self.judge.score(items, [Completion(claim, True) for _, claim in pairs])


@SCORERS.enter(
    "grounded", question="grounded", paper="Adlakha et al. 2023, arXiv 2307.16877",
    needs="a model to ask; items with evidence", tested="the evidence is shown",
    graded=by_likelihood,
)  # fmt: skip
def grounded(*, reading: Reading = "generation", model: LanguageModel) -> Scorer:
    """A model says whether everything in the response follows from the evidence."""
    return RubricScorer(RUBRIC, model, reading)


@SCORERS.enter(
    "align_score", question="grounded", paper="Zha et al. 2023, arXiv 2305.16739",
    needs="a model to ask; items with evidence", graded=True,
    tested="two claims, one in the second chunk: 1/2; moving the passage changes nothing",
)  # fmt: skip
def align_score(*, reading: Reading = "likelihood", model: LanguageModel) -> Scorer:
    """Claim by claim, how far the best chunk of the evidence supports it."""
    return AlignScore(RubricScorer(RUBRIC, model, reading))
