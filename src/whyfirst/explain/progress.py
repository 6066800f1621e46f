"""How far a corpus has come and what it has cost, kept in its folder over all calls.

Leaves out: caps on spending, which are the model's own (models/spend.py).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from whyfirst.config.files import append_jsonl, read_jsonl

SPENT, JUDGE_SPENT = "spent.jsonl", "judge_spent.jsonl"
_BILLED = {"completion_tokens": "tokens billed", "reasoning_tokens": "of them reasoning"}


@dataclass
class Progress:
    """What a run has so far, what earlier runs in the folder left included.

    What a kept document takes is reckoned from this run alone: `asked_now`, `kept_now` and
    `spent_now` (the teacher's, by name) leave out what was there already.
    """

    calls: int = 0
    asked_now: int = 0
    kept: int = 0
    kept_now: int = 0
    tokens: int = 0
    spent_now: dict[str, float] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Kept documents a call."""
        return self.kept / max(1, self.calls)

    def a_document(self, name: str) -> float | None:
        """Tokens or price for each kept document, where the teacher reports them."""
        # Answers that a stopped run got and didn't take up come from the kept replies, for nothing.
        paid = self.kept_now * (1 - self.spent_now.get("cached", 0) / max(1, self.asked_now))
        return self.spent_now[name] / paid if name in self.spent_now and paid else None

    def __str__(self) -> str:
        """The yield in one line: kept of asked, and what a kept document took."""
        line = f"kept {self.kept} of {self.calls} answers ({self.rate:.0%}), {self.tokens:,} tokens"
        for name, words in _BILLED.items():
            amount = self.a_document(name)
            if amount:
                line += f"; {amount:,.0f} {words} a kept document"
        price = self.a_document("cost")
        return line if price is None else f"{line}; price {price:.6f} a kept document"


class Ledger:
    """What somebody asked has used, in a file of differences that every call adds to.

    Args:
        usage: what was used since this process began, by name.
    """

    def __init__(self, path: Path, usage: Callable[[], Mapping[str, Any]]) -> None:
        self._path, self._usage = path, usage
        self._start = self._noted = dict(usage())

    def note(self) -> None:
        """Write down what was used since the last note."""
        now = dict(self._usage())
        spent = _since(self._noted, now)
        if any(spent.values()):
            append_jsonl(self._path, spent)
        self._noted = now

    def now(self) -> dict[str, float]:
        """By name, since this process began."""
        return _since(self._start, self._usage())

    def total(self) -> dict[str, float]:
        """By name, over all calls; a name that one of them doesn't know (a price) is left out."""
        if not self._path.is_file():
            return {}
        rows = read_jsonl(self._path, allow_torn_tail=True)
        # A sum over some of the calls would read as the whole bill.
        names = set.intersection(*(set(row) for row in rows)) if rows else set()
        return {name: sum(row[name] for row in rows) for name in sorted(names)}


def _since(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, float]:
    return {name: amount - before.get(name, 0) for name, amount in now.items()}
