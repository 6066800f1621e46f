"""Self-aligned reward: right, and said because of the question and not anyway.

Han et al. 2025, "Self-Aligned Reward: Towards Effective and Efficient Reasoners", arXiv 2509.05489.
Leaves out: perplexities of the policy as it is while it trains; they are those of the model the
stage starts from (or `path`).
"""

import math
from collections.abc import Sequence
from typing import Any

from whyfirst.models.base import LanguageModel
from whyfirst.train.rewards import REWARDS, read_by, text
from whyfirst.train.rewards.answers import correct
from whyfirst.train.rewards.likelihood import asked, per_token


def drop(alone: float, asked_for: float) -> float:
    """Share of its perplexity that an answer loses by the question, at least -1.

    Args:
        alone: perplexity of the answer without the question.
        asked_for: with it.
    """
    return max(-1.0, (alone - asked_for) / alone)


@REWARDS.enter(
    "sar",
    version=read_by("2"),
    paper="Han et al. 2025, arXiv 2509.05489",
    needs="the column answer",
    tested="perplexities 8 and 2 give 0.75, 1 and 9 give -1; no question changes nothing: 0",
)
def sar(
    prompts: list[Any],
    completions: list[Any],
    completion_ids: list[list[int]],
    answer: Sequence[Any],
    *,
    model: LanguageModel,
    gain: float = 0.2,
    **columns: Any,
) -> list[float | None]:
    """1 for the right answer, plus `gain` times the share of perplexity the question takes off.

    Args:
        gain: of the second part.
    """
    texts = [text(said) for said in completions]
    heads = asked(model, prompts, columns)
    given = model.loglikelihood([(h, [said]) for h, said in zip(heads, texts, strict=True)])
    alone = model.loglikelihood([("", [said]) for said in texts])
    rewards: list[float | None] = []
    for said, right, [with_it], [without] in zip(completions, answer, given, alone, strict=True):
        known = per_token(with_it), per_token(without)
        # A response of no token has no perplexity, and isn't right either.
        part = 0.0
        if known[0] is not None and known[1] is not None:
            # Of the ratio, for a perplexity alone may be beyond any float.
            part = drop(1.0, math.exp(min(known[1] - known[0], 50.0)))
        rewards.append(float(correct(said, right)) + gain * part)
    return rewards
