"""Auto-J's protocol: key factors first, then a final decision, which is the last one written.

Li et al. 2023, "Generative Judge for Evaluating Alignment", arXiv 2310.05470, in own wording; for
their 13B judge, or any model. Leaves out: their 58 scenarios' criteria (give those that apply as
`criteria`), and single ratings, which rubrics give with a scale that can't fail to 0.
"""

import re
from collections.abc import Sequence
from typing import Literal

from whyfirst.evaluate.asking import SAMPLING, SYSTEM, UNPARSED, key_for, material
from whyfirst.evaluate.judges import JUDGES, Judge, Pair, Preference, Winner, both_orders
from whyfirst.models.base import Completion, LanguageModel, asked
from whyfirst.models.said import answer

VERSION = "2"
# Not the form it was asked to fill in, repeated: that names all three.
_DECISION = re.compile(r"final decision is\W*(response 1|response 2|tie)\b(?! */)", re.IGNORECASE)
_WINNERS: dict[str, Winner] = {"response 1": "a", "response 2": "b", "tie": "tie"}


@JUDGES.enter(
    "auto_j",
    version=VERSION,
    paper="Li et al. 2023, arXiv 2310.05470",
    needs="a model to ask",
    draws=False,
    scores=False,
    tested="the last final decision counts; always the first gives ties only",
)
def auto_j(
    *, criteria: tuple[str, ...] = (), orders: Literal[1, 2] = 2, model: LanguageModel
) -> Judge:
    """Which response is better, by a reply that weighs the key factors and then decides.

    Args:
        criteria: what to weigh; none leaves it to the judge.
        orders: 2 asks both; 1 asks (a, b) only and can't be told from position bias.
    """
    return AutoJ(model, criteria, orders)


class AutoJ(Judge):
    """Compares by Auto-J's protocol; see `auto_j`."""

    name, criterion = "auto_j", "better"

    def __init__(
        self, model: LanguageModel, criteria: Sequence[str] = (), orders: Literal[1, 2] = 2
    ) -> None:
        self.model, self.criteria, self.orders = model, tuple(criteria), orders
        self.version = f"{VERSION}-{model.fingerprint[:12]}"

    def decide(self, pairs: Sequence[Pair], samples: int) -> list[Preference]:
        """See `Judge.decide`; one greedy reply an order."""
        shown = [*pairs, *(pair.swapped for pair in pairs)] if self.orders == 2 else list(pairs)
        replies = self.model.generate([asked(self._ask(p), SYSTEM) for p in shown], 1, SAMPLING)
        found = [decision(reply) for (reply,) in replies]
        if self.orders == 1:
            return found
        half = len(pairs)
        return [both_orders(*two) for two in zip(found[:half], found[half:], strict=True)]

    def _ask(self, pair: Pair) -> str:
        key = key_for(pair.prompt, pair.a.text, pair.b.text)
        weigh = "".join(f"\n- {criterion}" for criterion in self.criteria)
        return "\n\n".join([
            "Compare two responses to a request. First name the key factors that tell them apart."
            + (f" Weigh:{weigh}" if weigh else ""),
            material("request", pair.prompt, key),
            material("response 1", pair.a.text, key),
            material("response 2", pair.b.text, key),
            "End with: So, the final decision is Response 1 / Response 2 / Tie.",
        ])  # fmt: skip


def decision(reply: Completion) -> Preference:
    """The last final decision of a reply; none where there is none, or the reply was cut off."""
    said = answer(reply)
    if said.problem is not None:
        reason = f"judge gave no reply: {said.problem}"
        return Preference(None, reason, transient=reply.transient, raw=reply.text)
    found = _DECISION.findall(said.text)
    if not found or not reply.finished:
        # One that was cut off may have drafted a decision that it would have taken back.
        reason = UNPARSED if reply.finished else f"{UNPARSED}: cut off"
        return Preference(None, reason, raw=reply.text)
    return Preference(_WINNERS[found[-1].lower()])
