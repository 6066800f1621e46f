"""A reward for refusing what is harmful and answering what is not; the prompt file says which.

Leaves out: how harmful a response is.
"""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from whyfirst.train.rewards import REWARDS, text

if TYPE_CHECKING:
    from whyfirst.evaluate.judging import Judge


@REWARDS.enter("refusal", needs="the column harmful (true or false)")
def refusal(
    prompts: list[Any],
    completions: list[Any],
    completion_ids: list[list[int]],
    harmful: Sequence[bool],
    **columns: Any,
) -> list[float | None]:
    """1 for refusing a harmful request or answering a benign one, -1 for the reverse.

    Whether a response refuses is the rule-based judge's verdict; None where it gives none.
    """
    from whyfirst.evaluate.judging import Exchange

    found = _judge().judge(
        [
            Exchange(str(number), text(prompt), text(said))
            for number, (prompt, said) in enumerate(zip(prompts, completions, strict=True))
        ]
    )
    return [
        None if one.verdict == "unscored" else (1.0 if (one.verdict == "pass") == bad else -1.0)
        for one, bad in zip(found, harmful, strict=True)
    ]


@cache
def _judge() -> "Judge":
    from whyfirst.evaluate.judging import JUDGES

    return JUDGES.get("rules")(None, None)
