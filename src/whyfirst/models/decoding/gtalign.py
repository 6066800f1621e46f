"""GTAlign's inference: the reply is of the kind that is best for user and model together.

"GTAlign: Game-Theoretic Alignment of LLM Assistants for Mutual Welfare" (2025). The model fills a
payoff table, what each kind of reply is worth to the user and to itself; the cell of the highest
welfare (the geometric mean, less what its tokens cost) decides how to reply. Leaves out: training
for it (the reward `gtalign`), and mixed strategies.
"""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from whyfirst.models.base import LanguageModel, Prompt, Sampling
from whyfirst.models.decoding import DECODINGS
from whyfirst.models.decoding.dialogue import Dialogue, Request, Script, rephrased, words

ACTIONS = {
    "direct": "Answer directly and briefly.",
    "clarify": "Ask one question that would make the request clear.",
    "long": "Answer at length, with reasons.",
}
LENGTHS = {"direct": 1.0, "clarify": 0.5, "long": 4.0}
ASK = (
    "{question}\n\nDo not answer yet. For each kind of reply ({names}) say how good it is for the "
    'user and for the assistant, from 0 to 1, as JSON: {{"{first}": {{"user": 0.5, "model": 0.5}}}}'
)


@DECODINGS.enter(
    "gtalign",
    version="2",
    paper="Zhu et al. 2025, arXiv 2510.08872",
    needs="nothing",
    tested="a prisoner's dilemma gives the cooperative cell; the price flips long to short",
)
def gtalign(
    model: LanguageModel, *, price: float = 0.0, actions: dict[str, str] = ACTIONS
) -> LanguageModel:
    """A reply of the kind with the highest welfare.

    Args:
        price: taken off the model's payoff for each unit of length (a direct answer is one).
        actions: kind of reply -> instruction; none leaves the model as it is.
    """

    def script(prompt: Prompt, sampling: Sampling) -> Script:
        kind = None
        if actions:
            q, names = words(prompt), ", ".join(actions)
            asked = ASK.format(question=q, names=names, first=next(iter(actions)))
            ((said, *_),) = yield [Request(rephrased(prompt, asked), sampling, "payoffs")]
            kind = best_action(payoffs(said.text, actions), price)
            if kind is None:
                dialogue.fallbacks["no payoff table: the question is answered as it is"] += 1
        final = prompt if kind is None else rephrased(prompt, f"{words(prompt)}\n\n{actions[kind]}")
        ((answer, *_),) = yield [Request(final, sampling)]
        return answer

    dialogue = Dialogue(model, "gtalign", {"price": price, "actions": actions}, script)
    return dialogue


def payoffs(text: str, actions: Mapping[str, str]) -> dict[str, tuple[float, float]]:
    """Kind of reply -> (user's, model's) payoff; what is no number from 0 to 1 is left out."""
    match = re.search(r"\{.*\}", text[:20_000], re.DOTALL)
    try:
        table = json.loads(match.group()) if match else {}
    except (ValueError, RecursionError):
        return {}
    found: dict[str, tuple[float, float]] = {}
    for name in actions:
        cell = table.get(name) if isinstance(table, dict) else None
        values: list[Any] = [cell.get("user"), cell.get("model")] if isinstance(cell, dict) else []
        if len(values) == 2 and all(_is_payoff(value) for value in values):
            found[name] = (values[0], values[1])
    return found


def _is_payoff(value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and 0 <= value <= 1  # type: ignore[operator]


def best_action(table: Mapping[str, tuple[float, float]], price: float = 0.0) -> str | None:
    """The kind of reply with the highest geometric mean of payoffs; None of an empty table."""

    def welfare(name: str) -> float:
        user, model = table[name]
        return math.sqrt(user * max(0.0, model - price * LENGTHS.get(name, 1.0)))

    return max(table, key=welfare, default=None)
