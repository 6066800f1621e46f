"""What makes a headline believable or not: the questions a reader would ask next, answered.

Each check says what was found and takes a tone that the report and the terminal mark with a sign
and a word, never by colour alone. Leaves out: the headline (`answer.py`).
"""

from collections.abc import Callable
from dataclasses import dataclass

from whyfirst.report import conduct, soundness
from whyfirst.report.schema import Contrast, Results
from whyfirst.report.words import Finding, Tone


@dataclass(frozen=True)
class Check:
    """One reason to believe or doubt the headline."""

    question: str
    tone: Tone
    text: str


#: question -> what answers it (None where the results don't allow it), the most telling first
QUESTIONS: dict[str, Callable[[Results, Contrast], Finding | None]] = {
    "Does the model still act?": conduct.acts,
    "Did training break anything?": conduct.against_base,
    "Is it the reasons, and not just more training?": conduct.reasons,
    "Do the reasons taught decide the outcome?": conduct.two_sided,
    "Did the first stage teach anything?": conduct.learned,
    "Could it be noise between training runs?": soundness.noise,
    "Was it fixed before looking?": soundness.registered,
    "Did the arms get as much training?": soundness.matched,
    "Was everything scored?": soundness.unscored,
    "Is any of it left out for a reason?": soundness.dropped,
    "Can all of it move?": soundness.stuck,
    "Is anything shown by itself?": soundness.alone,
    "Can the judge be trusted?": soundness.judged,
    "What does looking inside say?": soundness.probed,
}


def checks_of(results: Results, contrast: Contrast) -> list[Check]:
    """Every check that the results allow, the most telling first."""
    findings = {question: find(results, contrast) for question, find in QUESTIONS.items()}
    return [Check(question, *finding) for question, finding in findings.items() if finding]
