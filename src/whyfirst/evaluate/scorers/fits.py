"""Does a response fit a person's preference: ``fits``, graded by a model from 1 to 5.

The judge of PREFDISCO (Li et al. 2025, arXiv 2510.00177) in own wording; the preference is the
item's reference. Leaves out: preferences against each other.
"""

from whyfirst.evaluate.rubric import Grade, Reading, Rubric, RubricScorer
from whyfirst.evaluate.scorers import SCORERS, Scorer
from whyfirst.models.base import LanguageModel

RUBRIC = Rubric(
    "fits",
    "1",
    "fits",
    "Below are a task, a preference of the person who set it (listed as the true reference) and a "
    "response. Grade how well the response fits the preference, not whether it is right.",
    (Grade("fits", 1, 5, "1 goes against the preference, 3 ignores it, 5 fits it fully"),),
    passed=lambda grades: grades["fits"] >= 4,
    score=lambda grades: (grades["fits"] - 1) / 4,
    yes_no="Does the response fit the preference?",
)


@SCORERS.enter(
    "fits", version=RUBRIC.version, question="fits", paper="Li et al. 2025, arXiv 2510.00177",
    needs="a model to ask; items whose reference is a preference", tested="3 of 5 is one half",
    graded=True,
)  # fmt: skip
def fits(*, reading: Reading = "generation", model: LanguageModel) -> Scorer:
    """How well a response fits a preference, graded by a model."""
    return RubricScorer(RUBRIC, model, reading)
