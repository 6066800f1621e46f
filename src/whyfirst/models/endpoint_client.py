"""Many requests to one OpenAI-compatible endpoint: as many at once as it bears, each to its end.

Concurrency starts small, grows by one a round and halves when the endpoint is overloaded (429,
5xx, no reply in time); ``Retry-After`` is honoured; attempts, the total time and what may be spent
are finite. A reply that can't be used is a `Problem` of its own request; what no further request
could mend (a wrong key or address, a cap, an endpoint that is gone) is a `UserError`. Leaves out:
what a reply means (`endpoint_reply`) and which requests are needed (`endpoint`).
"""

import asyncio
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
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
_OTHERS_S = 1.0  # until one looks again whether the run's other processes used what they set aside


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


@dataclass
class _Run(Generic[T]):
    """The state of one `EndpointClient.run`.

    Attributes:
        begun: requests that were begun and have no result yet, those that wait to be tried again
            among them: an endpoint in trouble is not sent new ones in the meantime.
        running: those of them that are under way now.
        changed: told whenever either has fallen.
    """

    asks: Sequence[Request]
    read: Callable[[Mapping[str, Any]], T]
    arrived: Callable[[int, T], None]
    useless: Callable[[T | Problem], str | None]
    fresh: Iterator[int]
    results: dict[int, T | Problem] = field(default_factory=dict)
    begun: int = 0
    running: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, ready: Callable[[], bool]) -> None:
        while not ready():
            await self.changed.wait()

    def tell(self) -> None:
        # One event loop, so no lock: waiting for one here, a worker could be cancelled between its
        # reply and the moment it is kept.
        self.changed.set()
        self.changed = asyncio.Event()


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
        state = _Run(asks, read, arrived, useless, iter(range(len(asks))))
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(self._run(state))
        # Called from inside somebody's event loop (a notebook, Inspect): use a loop of our own.
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(asyncio.run, self._run(state)).result()

    async def _run(self, state: _Run[T]) -> list[T | Problem]:
        pace, most = self._pace, self._limits.concurrency
        # From the first request on: a client may lie idle for hours before it.
        if pace.ends_at is None:
            pace.ends_at = asyncio.get_running_loop().time() + self._limits.deadline
        async with self._connection.client(most) as http:
            workers = [
                asyncio.ensure_future(self._work(state, http))
                for _ in range(min(most, len(state.asks)))
            ]
            try:
                async with asyncio.timeout_at(pace.ends_at):
                    await asyncio.gather(*workers)
            except TimeoutError:
                self._stop(state, f"deadline_s {self._limits.deadline:g} is over")
            finally:
                for worker in workers:
                    worker.cancel()
                # Or the loop would end with requests that nobody has seen to their end.
                await asyncio.gather(*workers, return_exceptions=True)
        return [state.results[number] for number in range(len(state.asks))]

    async def _work(self, state: _Run[T], http: httpx2.AsyncClient) -> None:
        """One request after the other to its end, until none is left."""
        while True:
            await state.until(lambda: state.begun < int(self._pace.limit))
            if (number := next(state.fresh, None)) is None:
                return
            state.begun += 1
            state.results[number] = result = await self._result(state, http, state.asks[number])
            state.begun -= 1
            # At once: an error that stops the run must not lose an answer.
            if not isinstance(result, Problem):
                state.arrived(number, result)
                self._look(state, result)
            state.tell()

    async def _result(self, state: _Run[T], http: httpx2.AsyncClient, ask: Request) -> T | Problem:
        """What comes of a request, in as many attempts as it takes or is worth."""
        clock, pace = asyncio.get_running_loop().time, self._pace
        attempt = 0
        while True:
            attempt += 1
            await self._turn(state, ask)
            launched = clock()
            try:
                reply = await self._connection.post(http, ask)
                if (uncounted := self._spend.add(reply.get("usage"))) is not None:
                    raise UserError(
                        f"{uncounted} can't be kept: the endpoint's replies don't say how many "
                        "tokens they used"
                    )
                found = state.read(reply)
                pace.grow()
                return found
            except Refused as error:
                refused = Problem(str(error))
                self._look(state, refused)
                return refused
            except Malformed as error:
                # One reply may be odd; a sign-in page in place of every reply is no endpoint.
                # Scoring is another matter: many servers can't, and say so in odd ways.
                if attempt == _MALFORMED_ATTEMPTS:
                    sent = Problem(f"the endpoint sent {error}")
                    return self._given_up(state, sent, counts=not ask.optional)
            except Again as error:
                self._slow_down(state, error, launched, clock())
                absent = error.absent and not pace.successes
                if attempt == (_ABSENT_ATTEMPTS if absent else _ATTEMPTS):
                    why = f"{error.reason} ({attempt} attempts)"
                    if not pace.successes:
                        self._stop(state, f"it doesn't answer: {why}")
                    silent = Problem(f"the endpoint gave no answer: {why}", transient=True)
                    return self._given_up(state, silent)
            except UserError as error:
                self._stop(state, str(error))
            finally:
                # Held for the worst case; what it really used was added when the reply came.
                self._spend.release(*ask.most)
                state.running -= 1
                state.tell()
            pause = min(self._limits.pause * 2 ** (attempt - 1), _LONGEST_PAUSE)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # not all at the same moment

    async def _turn(self, state: _Run[T], ask: Request) -> None:
        """Wait until the pace, a Retry-After and the caps allow one more attempt, and count it."""
        clock, pace = asyncio.get_running_loop().time, self._pace
        while True:
            # The limit may have been cut below what is under way; that is let finish.
            await state.until(lambda: state.running < int(pace.limit))
            if (wait := pace.not_before - clock()) > 0:
                await asyncio.sleep(wait)
                continue
            if (cap := self._spend.hold(*ask.most)) is None:
                state.running += 1
                return
            if not state.running and self._spend.others_hold():
                await asyncio.sleep(_OTHERS_S)
                continue
            if not state.running:
                self._stop(state, f"{cap} would be passed by the next request")
            # What is under way may use less than was set aside for it.
            await state.changed.wait()

    def _slow_down(self, state: _Run[T], error: Again, launched: float, now: float) -> None:
        """Halve the pace after a failure, and wait as long as the endpoint asks for."""
        pace = self._pace
        pace.cut(launched, now)
        if error.after is not None:
            pace.not_before = max(pace.not_before, now + error.after)
            if pace.not_before >= (pace.ends_at or now):
                past = f"past deadline_s {self._limits.deadline:g}"
                self._stop(state, f"it asks to wait {error.after:g} s, {past}")

    def _look(self, state: _Run[T], result: T | Problem) -> None:
        """Stop an endpoint that says the same useless thing to whatever it is asked."""
        why = state.useless(result)
        self._pace.useful |= why is None
        reason, times = self._pace.same
        self._pace.same = (why or "", times + 1 if why == reason else 1)
        if not self._pace.useful and self._pace.same[1] >= _FAILURES_IN_A_ROW:
            self._stop(state, f"no answer of use: {why}")

    def _given_up(self, state: _Run[T], problem: Problem, counts: bool = True) -> Problem:
        self._pace.given_up += counts
        if self._pace.given_up >= _FAILURES_IN_A_ROW:
            why = problem.reason.removeprefix("the endpoint gave no answer: ")
            self._stop(state, f"it doesn't answer: {why}")
        return problem

    def _stop(self, state: _Run[T], why: str) -> NoReturn:
        answered = sum(not isinstance(result, Problem) for result in state.results.values())
        raise UserError(
            f"{self.url}: {why}. {answered} of {len(state.asks)} requests were answered; used so "
            f"far: {self._spend.usage}. A rerun continues from the replies kept"
        )
