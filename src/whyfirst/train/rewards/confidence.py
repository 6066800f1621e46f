"""Confidence, the first of three dimensions of reasoning: how sure a model is of what it says.

Wang et al. 2025, "From <Answer> to <Think>: Multidimensional Supervision of Reasoning Process for
LLM Optimization", arXiv 2510.11457. The others are the rewards `relevance` and, for coherence,
`reward_model`; the stage's `combine: normalised` adds them (the paper's weights, from a grid
search, could not be found). Leaves out: confidence of the policy as it is while it trains.
"""

import re
from typing import Any

from whyfirst.models.base import LanguageModel, Loglikelihood
from whyfirst.train.rewards import REWARDS, text
from whyfirst.train.rewards.likelihood import asked

_BREAK = re.compile(r"</think>|(?=^[^\S\n]*(?:the\s+)?answer\b)", re.IGNORECASE | re.MULTILINE)


def parts(said: str) -> tuple[str, str]:
    """Reasoning and answer: they part after the last thought, or before a line "Answer: ..."."""
    places = [match.end() for match in _BREAK.finditer(said)]
    if not places:
        return "", said
    # Line breaks go with the reasoning and a space with the word after it, as tokenizers join them:
    # the tokens of the reasoning alone are then the first ones of the whole.
    rest = said[places[-1] :].lstrip()
    at = len(said) - len(rest)
    at -= at > places[-1] and bool(rest) and said[at - 1] == " "
    return said[:at], said[at:]


def confidence(reasoning: Loglikelihood, whole: Loglikelihood) -> float:
    """Log-probability a token of the reasoning, plus that of the answer's tokens together, nats."""
    return reasoning.logprob / max(reasoning.tokens, 1) + whole.logprob - reasoning.logprob


@REWARDS.enter(
    "confidence",
    version="2",
    paper="Wang et al. 2025, arXiv 2510.11457",
    needs="nothing",
    tested="log-probabilities -.1, -.3 and -.2, -.4, -.1 give -.9",
)
def confidence_reward(
    prompts: list[Any],
    completions: list[Any],
    completion_ids: list[list[int]],
    *,
    model: LanguageModel,
    **columns: Any,
) -> list[float | None]:
    """How sure the model is of its reasoning (a token) and of its answer (all of it), nats."""
    texts = [text(said) for said in completions]
    heads = asked(model, prompts, columns)
    found = model.loglikelihood(
        [(head, [parts(said)[0], said]) for head, said in zip(heads, texts, strict=True)]
    )
    return [None if one.problem or not one.tokens else confidence(r, one) for r, one in found]
