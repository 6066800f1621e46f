"""Many requests to one OpenAI-compatible endpoint: as many at once as it bears, each to its end.

Concurrency starts small, grows by one a round and halves when the endpoint is overloaded (429,
5xx, no reply in time); ``Retry-After`` is honoured; attempts, the total time and what may be spent
are finite. A reply that can't be used is a `Problem` of its own request; what no further request
could mend (a wrong key or address, a cap, an endpoint that is gone) is a `UserError`. Leaves out:
what a reply means (`endpoint_reply`) and which requests are needed (`endpoint`).
"""

import asyncio
import heapq
import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Generic, NoReturn, TypeVar

import httpx2

from whyfirst.config.errors import UserError
from whyfirst.models.endpoint_http import Again, Connection, Malformed, Problem, Refused, Request
from whyfirst.models.spend import Spend

T = TypeVar("T")

_ATTEMPTS = 8
_MALFORMED_ATTEMPTS = 2  # each is paid for
_ABSENT_ATTEMPTS = 3  # of an endpoint that has never answered
_FAILURES_IN_A_ROW = 5  # requests given up with no success between: the endpoint is gone
_START, _LONGEST_PAUSE = 4, 30.0


@dataclass(frozen=True)
class Limits:
    """How hard to try; seconds throughout.

    Args:
        concurrency: most requests under way at once.
        timeout: for one request, first byte to last.
        deadline: for all requests of one client, counted from its first.
        pause: before the second attempt; doubles with each further one, up to 30.
    """

    concurrency: int = 32
    timeout: float = 300.0
    deadline: float = 86400.0
    pause: float = 0.5


@dataclass
class _Pace:
    """What is known of the endpoint's health; kept over a client's runs."""

    most: int
    limit: float = _START
    not_before: float = 0.0  # loop time; a Retry-After holds for every request
    cut_at: float = -1.0
    successes: int = 0
    given_up: int = 0
    useful: bool = False  # whether there was ever an answer that something can be made of
    same: tuple[str, int] = ("", 0)  # why answers were of no use, and how many in a row
    ends_at: float | None = None

    def grow(self) -> None:
        # One more a round: as many successes as requests under way make up 1.
        self.limit = min(self.limit + 1 / self.limit, self.most)
        self.successes += 1
        self.given_up = 0

    def cut(self, launched: float, now: float) -> None:
        # Requests that were already under way tell nothing about the new pace.
        if launched > self.cut_at:
            self.limit, self.cut_at = max(1.0, self.limit / 2), now


@dataclass(order=True)
class _Job:
    """One request and its next attempt; `ready` is the loop time it may start at."""

    ready: float
    number: int
    attempt: int = 1


@dataclass
class _Run(Generic[T]):
    """The state of one `EndpointClient.run`."""

    asks: Sequence[Request]
    read: Callable[[Mapping[str, Any]], T]
    arrived: Callable[[int, T], None]
    useless: Callable[[T | Problem], str | None]
    fresh: deque[_Job]
    failed: list[_Job] = field(default_factory=list)  # a heap of those to try again
    running: dict["asyncio.Task[T]", tuple[_Job, float]] = field(default_factory=dict)
    results: dict[int, T | Problem] = field(default_factory=dict)

    def next(self, limit: int) -> _Job | None:
        """The request to start next, if one more may be under way.

        One that waits to be tried again counts as under way: an endpoint in trouble is not sent
        new ones in the meantime.
        """
        # The limit may have been cut below what is under way; that is let finish.
        if len(self.running) >= limit:
            return None
        if self.fresh and len(self.running) + len(self.failed) < limit:
            return self.fresh[0]
        return self.failed[0] if self.failed else None


class EndpointClient:
    """Sends requests to one endpoint.

    Args:
        url: base URL, e.g. ``http://127.0.0.1:8000/v1``.
        key_env: name of the environment variable with the key; None sends no key.
    """

    def __init__(self, url: str, key_env: str | None, spend: Spend, limits: Limits) -> None:
        self.url = url
        self._connection = Connection(url, key_env, limits.timeout)
        self._spend, self._limits = spend, limits
        # Event loops come and go with each run, but share the monotonic clock.
        self._pace = _Pace(limits.concurrency, min(_START, limits.concurrency))

    def run(
        self,
        asks: Sequence[Request],
        read: Callable[[Mapping[str, Any]], T],
        arrived: Callable[[int, T], None],
        useless: Callable[[T | Problem], str | None] = lambda _: None,
    ) -> list[T | Problem]:
        """One result a request, in their order.

        Args:
            read: a reply's JSON object -> what is wanted of it; raises `Malformed`.
            arrived: called with a request's number and result as soon as it is there.
            useless: why nothing can be made of a result, where that needn't be the request's own
                fault: five times the same, and never anything else, and the run stops.

        Raises:
            UserError: no key, a wrong key or address, a cap or the deadline reached, or an
                endpoint that doesn't answer; what arrived before has been given to `arrived`.
        """
        if not asks:
            return []
        fresh = deque(_Job(0.0, number) for number in range(len(asks)))
        state = _Run(asks, read, arrived, useless, fresh)
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(self._run(state))
        # Called from inside somebody's event loop (a notebook, Inspect): use a loop of our own.
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(asyncio.run, self._run(state)).result()

    async def _run(self, state: _Run[T]) -> list[T | Problem]:
        clock, pace = asyncio.get_running_loop().time, self._pace
        # From the first request on: a client may lie idle for hours before it.
        if pace.ends_at is None:
            pace.ends_at = clock() + self._limits.deadline
        async with self._connection.client(self._limits.concurrency) as http:
            try:
                while state.fresh or state.failed or state.running:
                    self._launch(state, http, clock())
                    now = clock()
                    if now >= pace.ends_at:
                        self._stop(state, f"deadline_s {self._limits.deadline:g} is over")
                    # Until a request ends, the next may start, or the time is up.
                    job = state.next(int(pace.limit))
                    until = pace.ends_at if job is None else min(pace.ends_at, self._start(job))
                    if state.running:
                        # A cap may keep a request waiting that is ready: only an ended one can
                        # make room for it.
                        await asyncio.wait(
                            state.running,
                            timeout=(until if until > now else pace.ends_at) - now,
                            return_when=asyncio.FIRST_COMPLETED,
                        )
                    else:
                        await asyncio.sleep(max(0.0, until - now))
                    done = [task for task in state.running if task.done()]
                    # Answers first: an error that stops the run must not lose them.
                    for task in sorted(done, key=lambda task: task.exception() is not None):
                        self._settle(state, task, clock())
            finally:
                for task in state.running:
                    task.cancel()
                # Or the loop would end with requests that nobody has seen to their end.
                await asyncio.gather(*state.running, return_exceptions=True)
        return [state.results[number] for number in range(len(state.asks))]

    def _launch(self, state: _Run[T], http: httpx2.AsyncClient, now: float) -> None:
        """Start what may start now."""
        while (job := state.next(int(self._pace.limit))) and self._start(job) <= now:
            ask = state.asks[job.number]
            cap = self._spend.hold(*ask.most)
            if cap is not None:
                if not state.running:
                    self._stop(state, f"{cap} would be passed by the next request")
                return  # what is under way may use less than was set aside for it
            # Only now: until the caps allow it, the request stays where it was.
            if job.attempt == 1:
                state.fresh.popleft()
            else:
                heapq.heappop(state.failed)
            task = asyncio.ensure_future(self._ask(http, ask, state.read))
            state.running[task] = (job, now)

    def _start(self, job: _Job) -> float:
        return max(job.ready, self._pace.not_before)

    def _settle(self, state: _Run[T], task: "asyncio.Task[T]", now: float) -> None:
        job, launched = state.running.pop(task)
        ask, pace = state.asks[job.number], self._pace
        # Held for the worst case; what it really used was added when the reply came.
        self._spend.release(*ask.most)
        error = task.exception()
        match error:
            case None:
                pace.grow()
                state.results[job.number] = task.result()
                state.arrived(job.number, task.result())
                self._look(state, task.result())
            case Refused():
                state.results[job.number] = problem = Problem(str(error))
                self._look(state, problem)
            case Malformed():
                if job.attempt < _MALFORMED_ATTEMPTS:
                    self._retry(state, job, now)
                else:
                    # One reply may be odd; a sign-in page in place of every reply is no endpoint.
                    # Scoring is another matter: many servers can't, and say so in odd ways.
                    problem = Problem(f"the endpoint sent {error}")
                    self._give_up(state, job, problem, counts=not ask.optional)
            case Again():
                pace.cut(launched, now)
                if error.after is not None:
                    pace.not_before = max(pace.not_before, now + error.after)
                    if pace.not_before >= (pace.ends_at or now):
                        past = f"past deadline_s {self._limits.deadline:g}"
                        self._stop(state, f"it asks to wait {error.after:g} s, {past}")
                absent = error.absent and not pace.successes
                if job.attempt < (_ABSENT_ATTEMPTS if absent else _ATTEMPTS):
                    self._retry(state, job, now)
                    return
                why = f"{error.reason} ({job.attempt} attempts)"
                if not pace.successes:
                    self._stop(state, f"it doesn't answer: {why}")
                problem = Problem(f"the endpoint gave no answer: {why}", transient=True)
                self._give_up(state, job, problem)
            case UserError():
                self._stop(state, str(error))
            case _:
                raise error

    def _look(self, state: _Run[T], result: T | Problem) -> None:
        """Stop an endpoint that says the same useless thing to whatever it is asked."""
        why = state.useless(result)
        self._pace.useful |= why is None
        reason, times = self._pace.same
        self._pace.same = (why or "", times + 1 if why == reason else 1)
        if not self._pace.useful and self._pace.same[1] >= _FAILURES_IN_A_ROW:
            self._stop(state, f"no answer of use: {why}")

    def _retry(self, state: _Run[T], job: _Job, now: float) -> None:
        pause = min(self._limits.pause * 2 ** (job.attempt - 1), _LONGEST_PAUSE)
        ready = now + pause * random.uniform(0.5, 1.0)  # not all at the same moment
        heapq.heappush(state.failed, _Job(ready, job.number, job.attempt + 1))

    def _give_up(self, state: _Run[T], job: _Job, problem: Problem, counts: bool = True) -> None:
        state.results[job.number] = problem
        self._pace.given_up += counts
        if self._pace.given_up >= _FAILURES_IN_A_ROW:
            why = problem.reason.removeprefix("the endpoint gave no answer: ")
            self._stop(state, f"it doesn't answer: {why}")

    def _stop(self, state: _Run[T], why: str) -> NoReturn:
        answered = sum(not isinstance(result, Problem) for result in state.results.values())
        raise UserError(
            f"{self.url}: {why}. {answered} of {len(state.asks)} requests were answered; used so "
            f"far: {self._spend.usage}. A rerun continues from the replies kept"
        )

    async def _ask(
        self, http: httpx2.AsyncClient, ask: Request, read: Callable[[Mapping[str, Any]], T]
    ) -> T:
        reply = await self._connection.post(http, ask)
        uncounted = self._spend.add(reply.get("usage"))
        if uncounted is not None:
            raise UserError(
                f"{uncounted} can't be kept: the endpoint's replies don't say how many tokens "
                "they used"
            )
        return read(reply)
