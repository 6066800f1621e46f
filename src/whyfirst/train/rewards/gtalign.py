"""GTAlign: the geometric mean of what a response is worth to the user and to the model.

Zhu et al. 2025, "GTAlign: Game-Theoretic Alignment of LLM Assistants for Mutual Welfare", arXiv
2510.08872. A response thinks, gives a payoff table (as the decoding `gtalign` reads it), weighs it
and answers. Leaves out: a judge of open answers (here one is right or not), and the paper's z-score
by source: `zscore_by` of the stage does that for any reward.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from whyfirst.models.decoding.gtalign import ACTIONS, payoffs
from whyfirst.train.rewards import REWARDS, read_by, text
from whyfirst.train.rewards.answers import correct

_FORM = re.compile(
    r"\s*<thinking>(.*?)</thinking>\s*<payoff>(.*?)</payoff>\s*<analyze>(.*?)</analyze>\s*"
    r"<response>(.+?)</response>\s*",
    re.DOTALL,
)
FLOOR = 1e-4
_SLOPE = 0.005  # a character


def length_score(characters: int, least: float, most: float) -> float:
    """Near 1 between two lengths, and falling off beyond both as logistic functions do."""
    rise, fall = _SLOPE * (characters - least), _SLOPE * (most - characters)
    return 1 / (1 + math.exp(-max(-50.0, rise))) / (1 + math.exp(-max(-50.0, fall)))


def welfare(user: float, model: float) -> float:
    """Geometric mean of both utilities, which no surplus of one makes up for in the other."""
    return math.sqrt(user * model)


def utilities(said: str, answer: Any, actions: Mapping[str, str]) -> tuple[float, float]:
    """(user's, model's) utility of a response in the form; both the floor where it isn't."""
    match = _FORM.fullmatch(said)
    if match is None:
        return FLOOR, FLOOR
    thought, table, weighed, response = match.groups()
    right = float(correct(response, answer))
    whole = float(set(payoffs(table, actions)) == set(actions))
    brief = math.exp(-len(thought + weighed) / 500)
    user = FLOOR + 0.5 * right + 0.2 * length_score(len(response), 20, 500) + 0.3 * brief
    model = FLOOR + 0.2 + 0.2 * whole + 0.4 * right + 0.2 * length_score(len(said), 500, 1000)
    return user, model


@REWARDS.enter(
    "gtalign",
    version=read_by(),
    paper="Zhu et al. 2025, arXiv 2510.08872",
    needs="the column answer; responses with a payoff table",
    tested="utilities .25 and 1 give .5; one at 0 gives 0; malformed gives 0",
)
def gtalign(
    prompts: list[Any],
    completions: list[Any],
    completion_ids: list[list[int]],
    answer: Sequence[Any],
    *,
    actions: dict[str, str] = ACTIONS,
    **columns: Any,
) -> list[float | None]:
    """Welfare of user and model, about 0 to 1; 0 for a response that isn't in the form.

    Args:
        actions: kinds of reply that the payoff table must have.
    """
    found = [utilities(text(c), a, actions) for c, a in zip(completions, answer, strict=True)]
    return [0.0 if pair == (FLOOR, FLOOR) else welfare(*pair) for pair in found]
