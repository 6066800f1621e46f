"""What asking an endpoint has used, and the caps that stop it first.

A request is only sent if its worst case still fits under the caps. They cap a run: what all
processes of one have asked of an endpoint stands in one file (`Shared`). Leaves out: what a reply
that never arrived may have been billed for, and machines that don't share the file's folder.
"""

import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from whyfirst.config.files import read_json, write_json
from whyfirst.config.process import alive, identity

RUN = "WHYFIRST_RUN"
"""The environment variable that says which command a process works for: its identity, as JSON."""
SPENT = "spent.json"


def new_run() -> str:
    """What `RUN` holds for all processes of a run that this one begins."""
    return json.dumps(identity() | {"run": secrets.token_hex(4)}, sort_keys=True)


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


@dataclass
class Tally:
    """What counts towards a cap: tokens used, and the most that requests under way may use.

    Args:
        unreported: replies that came without a token count.
        held: process -> (prompt, completion) of each of its requests.
    """

    prompt: int = 0
    completion: int = 0
    unreported: int = 0
    held: dict[str, list[list[int]]] = field(default_factory=dict)

    def most(self) -> tuple[int, int]:
        """Prompt and completion tokens, if all that is under way comes to its worst case."""
        held = [row for rows in self.held.values() for row in rows]
        return self.prompt + sum(p for p, _ in held), self.completion + sum(c for _, c in held)


@dataclass(frozen=True)
class Shared:
    """The tally of an endpoint's model that all processes of a run add to.

    Args:
        path: a file of tallies, by run and model; runs that have ended are dropped from it.
        run: the command they work for, as `RUN` has it.
        model: which of the endpoints' models.
    """

    path: Path
    run: str
    model: str

    @contextmanager
    def tally(self) -> Iterator[Tally]:
        """The tally, for a moment of this process alone; what is changed in it is kept."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self.path.with_name(self.path.name + ".lock")):
            runs = read_json(self.path) if self.path.exists() else {}
            runs = {run: rows for run, rows in runs.items() if alive(json.loads(run)) is not False}
            rows = runs.setdefault(self.run, {})
            tally = Tally(**rows.get(self.model, {}))
            yield tally
            rows[self.model] = asdict(tally)
            write_json(self.path, runs)


class Spend:
    """Counts usage and refuses what would pass a cap.

    Args:
        price_in, price_out: per million prompt and completion tokens; None is unpriced.
        max_cost: in the prices' currency; needs both.
        max_tokens: prompt and completion together.
        folder: of the file that caps are counted up to in, for processes of one run (`RUN`).
        model: which model this is, for that file.
    """

    def __init__(
        self,
        price_in: float | None = None,
        price_out: float | None = None,
        max_cost: float | None = None,
        max_tokens: int | None = None,
        folder: Path | None = None,
        model: str = "",
    ) -> None:
        self._price_in, self._price_out = price_in, price_out
        self._max_cost, self._max_tokens = max_cost, max_tokens
        self._me = json.dumps(identity())
        self._alone = Tally()
        self._shared: Shared | None = None
        # Without a cap nobody asks, and every request would wait for the file.
        if folder is not None and RUN in os.environ and (max_cost or max_tokens):
            self._shared = Shared(folder / SPENT, os.environ[RUN], model)
        self._usage = Usage()

    @contextmanager
    def _tally(self) -> Iterator[Tally]:
        if self._shared is None:
            yield self._alone
            return
        with self._shared.tally() as tally:
            yield tally

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
        with self._tally() as tally:
            mine = tally.held.setdefault(self._me, [])
            mine.append([prompt, completion])
            most = tally.most()
            cost, passed = self._cost(*most), None
            if self._max_tokens is not None and sum(most) > self._max_tokens:
                passed = f"max_tokens {self._max_tokens}"
            elif self._max_cost is not None and cost is not None and cost > self._max_cost:
                passed = f"max_cost {self._max_cost}"
            if passed is not None:
                mine.pop()
            return passed

    def others_hold(self) -> bool:
        """Whether other processes set tokens aside that they may not use after all."""
        with self._tally() as tally:
            others = (who for who, rows in tally.held.items() if rows and who != self._me)
            return any(alive(json.loads(who)) is not False for who in others)

    def release(self, prompt: int, completion: int) -> None:
        """The request is over, whatever became of it."""
        with self._tally() as tally:
            tally.held[self._me].remove([prompt, completion])

    def add(self, reported: Any) -> str | None:
        """Count one reply's ``usage`` object; or say which cap can't be kept without one."""
        reported = reported if isinstance(reported, Mapping) else {}
        prompt, completion = (
            _count(reported.get("prompt_tokens")),
            _count(reported.get("completion_tokens")),
        )
        details = reported.get("completion_tokens_details")
        reasoning = details.get("reasoning_tokens") if isinstance(details, Mapping) else 0
        usage, unknown = self._usage, prompt is None or completion is None
        self._usage = replace(
            usage,
            calls=usage.calls + 1,
            prompt_tokens=usage.prompt_tokens + (prompt or 0),
            completion_tokens=usage.completion_tokens + (completion or 0),
            reasoning_tokens=usage.reasoning_tokens + (_count(reasoning) or 0),
            unreported=usage.unreported + unknown,
        )
        with self._tally() as tally:
            tally.prompt += prompt or 0
            tally.completion += completion or 0
            tally.unreported += unknown
            uncounted = tally.unreported
        # A cap that can't be counted up to is none.
        if uncounted and self._max_cost is not None:
            return "max_cost"
        if uncounted and self._max_tokens is not None:
            return "max_tokens"
        return None

    def _cost(self, prompt: int, completion: int) -> float | None:
        if self._price_in is None or self._price_out is None:
            return None
        return (prompt * self._price_in + completion * self._price_out) / 1e6


def _count(value: Any) -> int | None:
    good = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return value if good else None
