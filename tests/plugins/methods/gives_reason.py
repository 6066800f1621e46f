"""A reward for saying why: does the response give a reason in words that mark one?

Leaves out: whether the reason is true, or a reason for what was done.
"""

import re
from typing import Any

from whyfirst.train.rewards import REWARDS, text

MARKS = re.compile(r"\b(because|since|so that|in order to|otherwise)\b", re.IGNORECASE)


@REWARDS.enter("gives_reason", tested="1 with a mark of a reason, 0 without, None for no words")
def gives_reason(
    prompts: list[Any],
    completions: list[Any],
    completion_ids: list[list[int]],
    *,
    bonus: float = 1.0,
    **columns: Any,
) -> list[float | None]:
    """`bonus` where the response marks a reason, else 0; no words can't be scored."""
    said = [text(completion) for completion in completions]
    return [bonus * bool(MARKS.search(words)) if words.strip() else None for words in said]
