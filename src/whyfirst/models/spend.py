"""What asking an endpoint has used, and the caps that stop it first.

A request is only sent if its worst case still fits under the caps. Leaves out: what a reply that
never arrived may have been billed for.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Usage:
    """What this model object has asked so far.

    Args:
        calls: replies of the endpoint, also those that could not be used.
        cached: answers taken from the reply store instead.
        prompt_tokens, completion_tokens: as the endpoint reports them.
        reasoning_tokens: those of the completion tokens that were spent on hidden reasoning.
        unreported: replies that came without a token count.
        cost: in the prices' currency; None if a price or a reply's count is unknown.
    """

    calls: int = 0
    cached: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    unreported: int = 0
    cost: float | None = None

    @property
    def tokens(self) -> int:
        """Prompt and completion together."""
        return self.prompt_tokens + self.completion_tokens

    def __str__(self) -> str:
        cost = "unpriced" if self.cost is None else f"cost {self.cost:.4f}"
        return f"{self.calls} calls, {self.tokens} tokens, {cost}"


class Spend:
    """Counts usage and refuses what would pass a cap.

    Args:
        price_in, price_out: per million prompt and completion tokens; None is unpriced.
        max_cost: in the prices' currency; needs both.
        max_tokens: prompt and completion together.
    """

    def __init__(
        self,
        price_in: float | None = None,
        price_out: float | None = None,
        max_cost: float | None = None,
        max_tokens: int | None = None,
    ) -> None:
        self._price_in, self._price_out = price_in, price_out
        self._max_cost, self._max_tokens = max_cost, max_tokens
        self._held: list[tuple[int, int]] = []
        self._usage = Usage()

    @property
    def usage(self) -> Usage:
        """What has been used so far."""
        known = self._usage.unreported == 0
        cost = self._cost(self._usage.prompt_tokens, self._usage.completion_tokens)
        return replace(self._usage, cost=cost if known else None)

    def took_cached(self, count: int) -> None:
        """Count answers that needed no call."""
        self._usage = replace(self._usage, cached=self._usage.cached + count)

    def hold(self, prompt: int, completion: int) -> str | None:
        """Set aside the most tokens a request can use; or say which cap that would pass."""
        # All that is under way may yet come to its worst case.
        held = [*self._held, (prompt, completion)]
        usage = self._usage
        tokens = usage.tokens + sum(map(sum, held))
        if self._max_tokens is not None and tokens > self._max_tokens:
            return f"max_tokens {self._max_tokens}"
        cost = self._cost(
            usage.prompt_tokens + sum(p for p, _ in held),
            usage.completion_tokens + sum(c for _, c in held),
        )
        if self._max_cost is not None and cost is not None and cost > self._max_cost:
            return f"max_cost {self._max_cost}"
        self._held = held
        return None

    def release(self, prompt: int, completion: int) -> None:
        """The request is over, whatever became of it."""
        self._held.remove((prompt, completion))

    def add(self, reported: Any) -> str | None:
        """Count one reply's ``usage`` object; or say which cap can't be kept without one."""
        reported = reported if isinstance(reported, Mapping) else {}
        prompt, completion = (
            _count(reported.get("prompt_tokens")),
            _count(reported.get("completion_tokens")),
        )
        details = reported.get("completion_tokens_details")
        reasoning = details.get("reasoning_tokens") if isinstance(details, Mapping) else 0
        usage = self._usage
        self._usage = replace(
            usage,
            calls=usage.calls + 1,
            prompt_tokens=usage.prompt_tokens + (prompt or 0),
            completion_tokens=usage.completion_tokens + (completion or 0),
            reasoning_tokens=usage.reasoning_tokens + (_count(reasoning) or 0),
            unreported=usage.unreported + (prompt is None or completion is None),
        )
        # A cap that can't be counted up to is none.
        if self._usage.unreported and self._max_cost is not None:
            return "max_cost"
        if self._usage.unreported and self._max_tokens is not None:
            return "max_tokens"
        return None

    def _cost(self, prompt: int, completion: int) -> float | None:
        if self._price_in is None or self._price_out is None:
            return None
        return (prompt * self._price_in + completion * self._price_out) / 1e6


def _count(value: Any) -> int | None:
    good = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return value if good else None
