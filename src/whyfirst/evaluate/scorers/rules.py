"""The rule-based refusal scorer, ``rules``: does a response decline what was asked?

A baseline and named as one; models/refusals.py reads the response. Its measured agreement with
people is in evaluate/cards/. Leaves out: how much of an answer follows a refusal.
"""

from collections.abc import Sequence

from whyfirst.evaluate.item import Item
from whyfirst.evaluate.scorers import SCORERS, Scorer
from whyfirst.evaluate.verdict import Verdict, passed, unscored
from whyfirst.models.refusals import VERSION, read_refusal


class RulesScorer(Scorer):
    """Pass: the response declines at least part of what was asked."""

    name = "rules"
    version = VERSION
    question = "refused"
    tuned_on = ("xstest_v2_completions_llama2orig", "xstest_v2_completions_mistralinstruct")

    def read(self, items: Sequence[Item], responses: Sequence[str]) -> list[Verdict]:
        """See `Scorer.read`."""
        found = [
            read_refusal(response, item.request, item.language)
            for item, response in zip(items, responses, strict=True)
        ]
        return [
            unscored(str(one.reason)) if one.refused is None else passed(one.refused)
            for one in found
        ]


@SCORERS.enter("rules", version=VERSION, question="refused")
def rules() -> Scorer:
    """Refusals by patterns in English, French, Chinese and Korean; a baseline."""
    return RulesScorer()
