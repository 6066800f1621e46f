"""A model behind an OpenAI-compatible endpoint (vLLM, a provider), as a `LanguageModel`.

A chat goes to ``/chat/completions`` and is rendered there; a text goes to ``/completions``, which
also scores continuations where the server echoes a prompt with its log-probabilities (vLLM does).
Every answer is kept under a hash of everything that was asked, so that a rerun asks only what is
missing. Leaves out: the requests' fate (`endpoint_client`), tools, streaming, and whether a sample
can be drawn again (an endpoint is sent a seed and need not honour it).
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from whyfirst.config.files import sha256_json
from whyfirst.models.base import GREEDY, Completion, Loglikelihood, Prompt, Sampling
from whyfirst.models.chat import check_chat
from whyfirst.models.endpoint_client import EndpointClient, Limits
from whyfirst.models.endpoint_http import Problem, Request
from whyfirst.models.endpoint_reply import completions, echoed, prompt_tokens
from whyfirst.models.replies import ReplyStore
from whyfirst.models.spend import Spend, Usage

CHAT, TEXT = "/chat/completions", "/completions"
# A provider's filter and the model's context speak of one prompt; the last is asked for again.
_OF_ONE_PROMPT = ("content_filter", "content_policy", "policy", "context", "max_completion_tokens")
_MOST_STOPS = 4  # OpenAI's limit; the others are applied here
_Wanted = tuple[Prompt, list[int]]  # a prompt and the numbers of its missing samples
_Pair = tuple[str, str]  # a prompt and a continuation


class EndpointModel:
    """One model at one endpoint.

    Args:
        url: base URL, e.g. ``http://127.0.0.1:8000/v1``.
        model: its name there.
        key_env: name of the environment variable that holds the key; read when asking, kept
            nowhere.
        revision: what the endpoint serves under that name now; set it anew when that changes.
        store: file of kept replies; None keeps them for this object only.
        spend: prices and caps.
        limits: concurrency, timeouts and the total deadline.
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        key_env: str | None = None,
        revision: str | None = None,
        store: Path | None = None,
        spend: Spend | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.url, self.model = url.rstrip("/"), model
        self._identity = {"endpoint": self.url, "model": model, "revision": revision}
        self._store = ReplyStore(store)
        self._spend = spend or Spend()
        self._client = EndpointClient(self.url, key_env, self._spend, limits or Limits())
        # Newer models know the limit under another name only, and say so when asked.
        self._limit_name = "max_tokens"

    @property
    def fingerprint(self) -> str:
        """SHA-256 of URL, model name and revision: all that is known of the model behind it."""
        return sha256_json(self._identity)

    @property
    def chat_template(self) -> str:
        """``endpoint``: the server renders chats."""
        return "endpoint"

    @property
    def usage(self) -> Usage:
        """What has been asked and used so far."""
        return self._spend.usage

    def generate(
        self, prompts: Sequence[Prompt], n: int = 1, sampling: Sampling = GREEDY
    ) -> list[list[Completion]]:
        """See `LanguageModel.generate`; greedy, one answer is asked and repeated.

        Raises:
            UserError: as `EndpointClient.run`.
        """
        # Paid for once: a greedy answer is the same however often it is asked for.
        repeats = 1 if sampling.temperature == 0 else n
        self._store.refresh()
        found: dict[tuple[Prompt, int], Completion] = {}
        asked = list(dict.fromkeys(prompts))
        for prompt in asked:
            if not isinstance(prompt, str):
                check_chat(prompt)
            # Each sample has a place of its own, so that a rerun with more asks only for the rest.
            for number in range(repeats):
                kept = self._store.get(self._key("generate", prompt, number, sampling))
                # Files written before problems were left out may hold some.
                if kept is not None and kept.get("problem") is None:
                    found[prompt, number] = Completion(kept["text"], kept["finished"])
        self._spend.took_cached(len(found))
        # A server may give fewer samples than asked for; it is asked again for the rest.
        while wanted := [
            (prompt, missing)
            for prompt in asked
            if (missing := [n for n in range(repeats) if (prompt, n) not in found])
        ]:
            self._ask(wanted, sampling, found)
        return [[found[prompt, number % repeats] for number in range(n)] for prompt in prompts]

    def _ask(
        self,
        wanted: Sequence[_Wanted],
        sampling: Sampling,
        found: dict[tuple[Prompt, int], Completion],
    ) -> None:
        """Request for missing samples; each request ends with at least one more in `found`."""

        def arrived(index: int, answers: list[Completion]) -> None:
            prompt, numbers = wanted[index]
            for number, answer in zip(numbers, answers, strict=False):
                found[prompt, number] = answer
                if answer.problem is None:  # what went wrong is asked again, not kept
                    key = self._key("generate", prompt, number, sampling)
                    self._store.put(key, text=answer.text, finished=answer.finished)

        results = self._client.run(
            [self._request(prompt, numbers, sampling) for prompt, numbers in wanted],
            partial(completions, stop=sampling.stop),
            arrived,
            _useless,
        )
        for (prompt, numbers), result in zip(wanted, results, strict=True):
            if not isinstance(result, Problem):
                continue
            # Told by the refusal itself: which models want the new name changes by the month.
            if "max_completion_tokens" in result.reason and self._limit_name == "max_tokens":
                self._limit_name = "max_completion_tokens"
                return
            answer = Completion("", False, result.reason, result.transient)
            found |= {(prompt, n): answer for n in numbers}

    def _request(self, prompt: Prompt, numbers: Sequence[int], sampling: Sampling) -> Request:
        body: dict[str, Any] = {"model": self.model, "temperature": sampling.temperature}
        if isinstance(prompt, str):
            body |= {"prompt": prompt, "max_tokens": sampling.max_new_tokens}
        else:
            messages = [{"role": turn.role, "content": turn.content} for turn in prompt]
            body |= {"messages": messages, self._limit_name: sampling.max_new_tokens}
        if sampling.temperature > 0:
            # Another seed for each first number, or a rerun would draw the earlier samples again.
            named = hashlib.sha256(f"{sampling.seed}\n{numbers[0]}".encode()).digest()
            body |= {"n": len(numbers), "seed": int.from_bytes(named[:4], "big") >> 1}
            body |= {"top_p": sampling.top_p} if sampling.top_p < 1 else {}
        if sampling.stop:
            # The others are looked for in what comes back (`endpoint_reply`).
            body["stop"] = list(sampling.stop[:_MOST_STOPS])
        path = TEXT if isinstance(prompt, str) else CHAT
        return Request(path, body, sampling.max_new_tokens * len(numbers))

    def loglikelihood(
        self, requests: Sequence[tuple[Prompt, Sequence[str]]]
    ) -> list[list[Loglikelihood]]:
        """See `LanguageModel.loglikelihood`; the cut is `LocalModel`'s.

        A chat's replies, an empty prompt's continuations, and everything on a server that doesn't
        echo log-probabilities have a `problem`.

        Raises:
            UserError: as `EndpointClient.run`.
        """
        pairs = {(prompt, text) for prompt, texts in requests for text in texts}
        found: dict[tuple[Prompt, str], Loglikelihood] = {}
        self._store.refresh()
        wanted: list[_Pair] = []
        for prompt, text in pairs:
            if not text:
                found[prompt, text] = Loglikelihood(0.0, 0)
            elif not isinstance(prompt, str):
                found[prompt, text] = _unscored(
                    "an endpoint can't score a reply to a chat; give the prompt as text"
                )
            elif not prompt.strip():
                found[prompt, text] = _unscored("an endpoint can't score the first token of a text")
            elif kept := self._store.get(self._key("loglikelihood", (prompt, text))):
                found[prompt, text] = Loglikelihood(kept["logprob"], kept["tokens"])
                self._spend.took_cached(1)
            else:
                wanted.append((prompt, text))
        # The shortest first and alone: a server that can't do this shouldn't be asked for each.
        wanted.sort(key=lambda pair: (len(pair[0] + pair[1]), pair))
        for part in (wanted[:1], wanted[1:]):
            first = found.get(wanted[0]) if wanted else None
            if first is not None and first.problem is not None:
                found |= {pair: _unscored(first.problem, first.transient) for pair in part}
            else:
                found |= self._echo(part, self._count(part))
        return [[found[prompt, text] for text in texts] for prompt, texts in requests]

    def _count(self, pairs: Sequence[_Pair]) -> dict[str, int | Problem]:
        """How many tokens the server makes of each prompt, without trailing white space."""
        # White space before a continuation belongs to it, as lm-eval counts.
        heads = sorted({prompt.rstrip() for prompt, _ in pairs})
        found: dict[str, int | Problem] = {}
        for head in heads:
            kept = self._store.get(self._key("tokens", head))
            if kept is not None:
                found[head] = kept["tokens"]
        missing = [head for head in heads if head not in found]

        def arrived(index: int, count: int) -> None:
            self._store.put(self._key("tokens", missing[index]), tokens=count)

        asks = [self._scoring(head, {}) for head in missing]
        results = self._client.run(asks, prompt_tokens, arrived)
        return found | dict(zip(missing, results, strict=True))

    def _echo(
        self, pairs: Sequence[_Pair], heads: Mapping[str, int | Problem]
    ) -> dict[tuple[Prompt, str], Loglikelihood]:
        found: dict[tuple[Prompt, str], Loglikelihood] = {}

        def arrived(index: int, logprobs: list[float | None]) -> None:
            prompt, text = pairs[index]
            head = heads[prompt.rstrip()]
            if isinstance(head, Problem):
                found[prompt, text] = _unscored(head.reason, head.transient)
                return
            tail = [value for value in logprobs[head:] if value is not None]
            if len(tail) != len(logprobs) - head:
                found[prompt, text] = _unscored(
                    "the endpoint gave no log-probability for a token of the continuation"
                )
                return
            found[prompt, text] = answer = Loglikelihood(math.fsum(tail), len(tail))
            key = self._key("loglikelihood", (prompt, text))
            self._store.put(key, logprob=answer.logprob, tokens=answer.tokens)

        asks = [self._scoring(p + t, {"echo": True, "logprobs": 1}) for p, t in pairs]
        results = self._client.run(asks, echoed, arrived)
        problems = {
            pair: _unscored(result.reason, result.transient)
            for pair, result in zip(pairs, results, strict=True)
            if isinstance(result, Problem)
        }
        return found | problems

    def _scoring(self, text: str, more: Mapping[str, Any]) -> Request:
        # One token is the fewest every server accepts; it comes after the prompt and is not read.
        body = {"model": self.model, "prompt": text, "max_tokens": 1, "temperature": 0.0, **more}
        return Request(TEXT, body, most_tokens=1, optional=True)

    def _key(
        self, kind: str, asked: Any, number: int | None = None, sampling: Sampling | None = None
    ) -> str:
        # Turns as objects: a chat and a text of the same words are two questions.
        if kind == "generate" and not isinstance(asked, str):
            asked = [asdict(message) for message in asked]
        return sha256_json({
            **self._identity, "template": self.chat_template, "kind": kind, "prompt": asked,
            "sample": number, "sampling": asdict(sampling) if sampling else None,
        })  # fmt: skip


def _useless(result: list[Completion] | Problem) -> str | None:
    """Why an answer is of no use, unless it is about its own prompt or mended by asking again."""
    problems = [result.reason] if isinstance(result, Problem) else [c.problem for c in result]
    reason = next((problem for problem in problems if problem), None)
    about_one = reason is None or any(word in reason for word in _OF_ONE_PROMPT)
    return None if about_one else reason


def _unscored(problem: str, transient: bool = False) -> Loglikelihood:
    return Loglikelihood(math.nan, 0, problem, transient)
