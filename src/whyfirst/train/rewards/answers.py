"""Whether a response comes to the right answer, and whether it has the form asked for.

The rule-based rewards of LMM-R1 (Peng et al. 2025, arXiv 2503.07536) in its text form, after
DeepSeek-R1 (arXiv 2501.12948). Its released verifier adds accuracy and half the format; weights are
the stage's. Leaves out: equality of formulas (1/2 and 0.5 are two answers), and the ``<answer>``
tags that it asks for after the thought.
"""

import re
from collections.abc import Sequence
from typing import Any

from whyfirst.models.said import said
from whyfirst.train.rewards import REWARDS, read_by, text

_BOXED = re.compile(r"\\boxed\{([^{}]*)\}")
_MARKED = re.compile(r"(?:answer|####)\s*(?:is)?\s*[:=]?\s*(.+)", re.IGNORECASE)
_FORM = re.compile(r"\s*<think>(?:(?!</?think>).)+</think>\s*\S.*", re.DOTALL)


def result(completion: Any) -> str:
    """What a response comes to: in ``\\boxed{}``, else after the last "answer", else its last line.

    What it thought aloud before is left out; a thought that doesn't end comes to nothing.
    """
    reply = said(text(completion)).text
    if found := _BOXED.findall(reply):
        return str(found[-1])
    lines = [line.strip() for line in reply.splitlines() if line.strip()]
    marked = [match[1] for line in lines if (match := _MARKED.search(line))]
    return (marked or lines or [""])[-1]


def same(one: str, other: str) -> bool:
    """Whether two answers are one: as numbers where both are, else case and spacing apart."""
    a, b = (" ".join(x.lower().split()).strip(" .$") for x in (one, other))
    try:
        return float(a.replace(",", "")) == float(b.replace(",", ""))
    except ValueError:
        return a == b


def correct(completion: Any, answer: Any) -> bool:
    """Whether a response comes to `answer`."""
    return same(result(completion), str(answer))


@REWARDS.enter(
    "accuracy",
    version=read_by(),
    paper="Peng et al. 2025, arXiv 2503.07536",
    needs="the column answer",
    tested="hand-written responses",
)
def accuracy(
    prompts: list[Any],
    completions: list[Any],
    completion_ids: list[list[int]],
    answer: Sequence[Any],
    **columns: Any,
) -> list[float | None]:
    """1 where the response comes to the column `answer`, else 0."""
    return [float(correct(c, right)) for c, right in zip(completions, answer, strict=True)]


@REWARDS.enter(
    "think_format",
    paper="Peng et al. 2025, arXiv 2503.07536",
    needs="nothing",
    tested="hand-written responses",
)
def think_format(
    prompts: list[Any], completions: list[Any], completion_ids: list[list[int]], **columns: Any
) -> list[float | None]:
    """1 for one thought between ``<think>`` and ``</think>`` and something said after it."""
    return [float(_FORM.fullmatch(text(said)) is not None) for said in completions]
