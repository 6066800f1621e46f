"""Majority vote and self-consistency: the answer that most samples agree on.

Wang et al. 2022, "Self-Consistency Improves Chain of Thought Reasoning", arXiv 2203.11171. The
plain baselines of every method that spends samples: `majority` votes over whole answers, spelling
and spacing aside; `self_consistency` over what a pattern finds at their end. Leaves out: weighting
votes by likelihood.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from whyfirst.models.base import Completion, LanguageModel, Prompt, Sampling
from whyfirst.models.decoding import DECODINGS, AtLeast1, NotNegative
from whyfirst.models.decoding.dialogue import Dialogue, Request, Script, drawn

LAST_NUMBER = r"(-?\d[\d,]*(?:\.\d+)?)(?!.*\d)"


@DECODINGS.enter(
    "majority",
    version="2",
    paper="Wang et al. 2022, arXiv 2203.11171",
    needs="nothing",
    tested="n = 1 is the model; the most frequent answer wins, the earlier of two as frequent",
)
def majority(
    model: LanguageModel, *, n: AtLeast1 = 5, temperature: NotNegative = 0.7
) -> LanguageModel:
    """The most frequent of n answers.

    Args:
        n: samples.
        temperature: of their drawing, at least.
    """
    return _voting(model, "majority", n, temperature, lambda text: " ".join(text.lower().split()))


def _unusable(options: Any) -> Iterator[tuple[str, str]]:
    try:
        groups = re.compile(options.pattern, re.DOTALL).groups
    except re.error as error:
        yield "pattern", f"is no regular expression: {error}"
        return
    if not groups:
        yield "pattern", "has no group; put the result in brackets, as in 'Answer: (.+)'"


@DECODINGS.enter(
    "self_consistency",
    conflicts=_unusable,
    version="2",
    paper="Wang et al. 2022, arXiv 2203.11171",
    needs="answers in which `pattern` finds the result",
    tested="the sample that holds the most frequent result is the answer",
)
def self_consistency(
    model: LanguageModel,
    *,
    n: AtLeast1 = 5,
    temperature: NotNegative = 0.7,
    pattern: str = LAST_NUMBER,
) -> LanguageModel:
    """An answer whose result is the most frequent among n.

    Args:
        n: samples.
        temperature: of their drawing, at least.
        pattern: regular expression whose first group is the result; the last number by default.
    """
    search = re.compile(pattern, re.DOTALL).search

    def result(text: str) -> str | None:
        match = search(text)
        return None if match is None or match[1] is None else match[1].replace(",", "")

    return _voting(model, "self_consistency", n, temperature, result)


def _voting(
    model: LanguageModel, name: str, n: int, temperature: float, result: Callable[[str], str | None]
) -> LanguageModel:
    def script(prompt: Prompt, sampling: Sampling) -> Script:
        samples = sampling if n == 1 else drawn(sampling, temperature)
        (given,) = yield [Request(prompt, samples, n=n)]
        votes: Counter[str] = Counter()
        first: dict[str, Completion] = {}
        for completion in given:
            said = result(completion.text)
            if said is not None:
                votes[said] += 1
                first.setdefault(said, completion)
        if not votes:
            dialogue.fallbacks["no sample has a result: the first one is the answer"] += 1
            return given[0]
        return first[votes.most_common(1)[0][0]]

    dialogue = Dialogue(model, name, {"n": n, "temperature": temperature}, script)
    return dialogue
