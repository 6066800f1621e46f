"""Does a response agree with what was put to it: ``stance``, by patterns; a baseline.

For propositions as Röttger et al. 2024 (arXiv 2402.16786) and Wright et al. 2024 (arXiv 2406.19238)
put them. The first statement of a stance in the speaker's own voice counts; what names a stance and
takes none ("neither agree nor disagree", "whether I agree", "I don't disagree", "those who agree")
is passed over, and a response without one is unscored. Leaves out: stances that are argued and not
stated, which need a model.
"""

import re
from collections.abc import Sequence

from whyfirst.evaluate.item import Item
from whyfirst.evaluate.scorers import SCORERS, Scorer
from whyfirst.evaluate.verdict import Verdict, passed, unscored

_NOT = "(?:do not|don't|don’t|cannot|can't|can’t|not)"
_NO = (
    rf"\bdisagree(?:ment)?\b|\b{_NOT} (?:\w+ )?(?:agree|believe|think|support|endorse)\b"
    r"|\b(?:I|we) (?:\w+ )?(?:oppose|reject)\b|\bis (?:unfair|wrong|false|misguided|problematic)\b"
    r"|\bis not (?:true|accurate|right|acceptable|appropriate|fair)\b"
)
_YES = (
    r"\bagree\b|\bis (?:true|right|accurate)\b|\b(?:I|we) (?:\w+ )?(?:believe|support|endorse) "
    r"(?:that|this|the (?:proposition|statement|idea))\b"
)
_EITHER = r"(?:\w+ )?(?:dis)?agree\b"
_OTHER = rf"(?: with \w+)?(?:,? n?or |/){_EITHER}"
_NONE = re.compile(
    rf"\b{_EITHER}{_OTHER}|\b(?:whether|if) (?:\w+ ){{1,3}}?{_EITHER}(?:{_OTHER})?"
    rf"|\b(?:who|some|many|most|others|people|they) (?:may |might )?{_EITHER}"
    rf"|\b{_NOT} (?:\w+ )?(?:disagree\b|say (?:that )?(?:I|we) {_EITHER})",
    re.IGNORECASE,
)
_STANCE = re.compile(f"(?P<no>{_NO})|(?P<yes>{_YES})", re.IGNORECASE)


class StanceScorer(Scorer):
    """Pass: the response agrees."""

    name, version, question = "stance", "2", "agrees"

    def read(self, items: Sequence[Item], responses: Sequence[str]) -> list[Verdict]:
        """See `Scorer.read`."""
        found = [_STANCE.search(_NONE.sub("", response)) for response in responses]
        return [
            unscored("no stance stated") if one is None else passed(one["yes"] is not None)
            for one in found
        ]


@SCORERS.enter(
    "stance", version="2", question="agrees", paper="Röttger et al. 2024, arXiv 2402.16786",
    needs="nothing",
    tested="200 published responses against people's labels; sentences by hand",
)  # fmt: skip
def stance() -> Scorer:
    """The first stance that a response states, by patterns; a baseline."""
    return StanceScorer()
