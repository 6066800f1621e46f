"""A model that answers from a table or a function, and counts what it was asked.

For tests that need exact answers and exact costs. Leaves out: tokens (a token is a word here).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from whyfirst.config.errors import UserError
from whyfirst.config.files import sha256_json
from whyfirst.models.base import GREEDY, Completion, Loglikelihood, Prompt, Sampling, before_stop

Responses = Mapping[str, str] | Callable[[str], str]
Scores = Mapping[tuple[str, str], float] | Callable[[str, str], float]


class ScriptedModel:
    """Plays `responses` and `scores`; a chat is looked up by its last message.

    Args:
        responses: prompt -> response, as a table or a function.
        scores: (prompt, continuation) -> log-probability, as a table or a function.
        name: tells two scripted models apart (their fingerprints differ).

    Attributes:
        prompts: every prompt `generate` was given, in order, as it was given.
        requests: every (prompt, continuation) that was scored, in order, a chat as its last
            message.
        calls: how many calls of either method were made.
    """

    def __init__(
        self, responses: Responses | None = None, scores: Scores | None = None, name: str = ""
    ) -> None:
        self._responses = responses if responses is not None else {}
        self._scores = scores if scores is not None else {}
        self.fingerprint = sha256_json({"scripted": name})
        self.chat_template = "plain"
        self.prompts: list[Prompt] = []
        self.requests: list[tuple[str, str]] = []
        self.calls = 0

    def generate(
        self, prompts: Sequence[Prompt], n: int = 1, sampling: Sampling = GREEDY
    ) -> list[list[Completion]]:
        """The scripted response, `n` times; cut at `max_new_tokens` words.

        Raises:
            UserError: the table has no such prompt.
        """
        self.calls += 1
        self.prompts += prompts
        made = []
        for prompt in map(_question, prompts):
            text = self._played(self._responses, f"response to {prompt[:60]!r}", prompt)
            words = before_stop(text, sampling.stop).split(" ")
            kept = words[: sampling.max_new_tokens]
            made.append([Completion(" ".join(kept), finished=len(kept) == len(words))] * n)
        return made

    def loglikelihood(
        self, requests: Sequence[tuple[Prompt, Sequence[str]]]
    ) -> list[list[Loglikelihood]]:
        """The scripted scores; NaN with a problem where the function returns NaN.

        Raises:
            UserError: the table has no such pair.
        """
        self.calls += 1
        made = []
        for prompt, texts in requests:
            pairs = [(_question(prompt), text) for text in texts]
            self.requests += pairs
            row = []
            for asked, text in pairs:
                value = self._played(self._scores, f"score for {text[:60]!r}", asked, text)
                problem = "scripted: not a number" if math.isnan(value) else None
                row.append(Loglikelihood(value, len(text.split()), problem))
            made.append(row)
        return made

    def _played(self, script: Any, what: str, *asked: str) -> Any:
        """What a table or a function has for what was asked."""
        if callable(script):
            return script(*asked)
        # A prompt alone, or a pair of prompt and continuation.
        key = asked[0] if len(asked) == 1 else asked
        if key not in script:
            raise UserError(f"the scripted model has no {what}")
        return script[key]


def _question(prompt: Prompt) -> str:
    return prompt if isinstance(prompt, str) else prompt[-1].content
