"""One request to an OpenAI-compatible endpoint: sent, read, and its failure understood.

A failure is one of four: another attempt may mend it (`Again`), it holds for this request only
(`Refused`), the reply is not what was asked for (`Malformed`), or no request can succeed
(`UserError`). An error object inside a reply of status 200 counts as the error it names. The key is
read from the environment for each run and is struck out of everything a server says back before
anything else sees it. Leaves out: when to try again (`endpoint_client`).
"""

import asyncio
import ipaddress
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any, NoReturn

import httpx2

from whyfirst.config.bounded import parse_json
from whyfirst.config.errors import UserError
from whyfirst.config.text import safe_text

_MOST_BYTES = 16 * 2**20
# 501 is left out: it says that the server can't do this at all.
_TRANSIENT = frozenset({408, 409, 425, 429, *range(500, 600)} - {501})
_NO_OBJECT = "a reply that is not a JSON object"
#: what an HTTP library takes from the environment for a connection
_SETTINGS = (
    "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy",
    "NO_PROXY", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR",
)  # fmt: skip
#: words in an error object's code or type -> the status that means the same
_ERROR_WORDS = {
    "rate_limit": 429, "overloaded": 503, "authentication": 401, "api_key": 401,
    "permission": 403, "not_found": 404, "insufficient_quota": 402, "billing": 402,
    "invalid_request": 400, "content_policy": 400, "content_filter": 400, "context_length": 400,
}  # fmt: skip


@dataclass(frozen=True)
class Problem:
    """Why a request has no answer; `transient` where the same request may be answered later."""

    reason: str
    transient: bool = False


@dataclass(frozen=True)
class Request:
    """One request.

    Args:
        path: under the base URL, e.g. ``/chat/completions``.
        body: sent as JSON.
        most_tokens: completion tokens it can use at most.
        optional: an endpoint without this path is a problem of the request, not a wrong address.
    """

    path: str
    body: Mapping[str, Any]
    most_tokens: int
    optional: bool = False

    @cached_property
    def payload(self) -> bytes:
        """The body as ASCII JSON, which can hold any string, a lone surrogate too."""
        return json.dumps(self.body).encode()

    @cached_property
    def most(self) -> tuple[int, int]:
        """(prompt, completion) tokens at most: a text has no more tokens than bytes."""
        # Escapes would make each letter of another script six bytes, and the bound six times as
        # high.
        text = json.dumps(self.body, ensure_ascii=False)
        return len(text.encode("utf-8", "replace")), self.most_tokens


class Malformed(Exception):
    """A reply that is not what was asked for; the message goes on after "the endpoint sent"."""


class Again(Exception):
    """A failed attempt that another may mend.

    Args:
        after: seconds the endpoint asks to wait.
        absent: nothing could be reached there.
    """

    def __init__(self, reason: str, after: float | None = None, absent: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.after, self.absent = reason, after, absent


class Refused(Exception):
    """The endpoint refuses this request and would again; the message says why."""


class Connection:
    """Where requests go.

    Args:
        url: base URL, e.g. ``http://127.0.0.1:8000/v1``.
        key_env: name of the environment variable with the key; None sends no key.
        timeout: seconds for one request, first byte to last.
    """

    def __init__(self, url: str, key_env: str | None, timeout: float) -> None:
        self.url, self._key_env, self._timeout = url, key_env, timeout

    def headers(self) -> dict[str, str]:
        """Headers of every request, the key among them.

        Raises:
            UserError: the environment variable is not set, or holds no key.
        """
        plain = {"Content-Type": "application/json"}
        if self._key_env is None:
            return plain
        key = self._key()
        if not key:
            raise UserError(
                f"the environment variable {self._key_env} is not set; export the key of "
                f"{self.url} under that name"
            )
        if not re.fullmatch(r"[\x21-\x7e]+", key):  # a library's own error would print it
            raise UserError(f"{self._key_env}: the key in it holds a character no key has")
        return {**plain, "Authorization": f"Bearer {key}"}

    def client(self, connections: int) -> httpx2.AsyncClient:
        """An HTTP client for many requests.

        Raises:
            UserError: no key; or a proxy or certificate setting that can't be used, by its name.
        """
        headers = self.headers()
        # What runs on this machine is never sent through a proxy, which could not reach it and
        # would see the key.
        environment = not is_loopback(self.url)
        limits = httpx2.Limits(max_connections=connections)
        try:
            return httpx2.AsyncClient(
                headers=headers, timeout=None, limits=limits, trust_env=environment
            )
        except (Exception, ImportError) as error:
            named = [name for name in _SETTINGS if os.environ.get(name)]
            raise UserError(
                f"{self.url}: no connection can be made with the settings in "
                f"{', '.join(named) or 'the environment'} ({self._clean(error)}); correct or unset "
                "them"
            ) from None

    async def post(self, http: httpx2.AsyncClient, ask: Request) -> dict[str, Any]:
        """The reply's JSON object, the key struck out.

        Raises:
            Again, Refused, Malformed, UserError: see the module.
        """
        try:
            async with (
                asyncio.timeout(self._timeout),
                http.stream("POST", self.url + ask.path, content=ask.payload) as response,
            ):
                data = bytearray()
                async for chunk in response.aiter_bytes():
                    data += chunk
                    if len(data) > _MOST_BYTES:
                        raise Malformed(f"a reply of more than {_MOST_BYTES // 2**20} MiB")
        except TimeoutError:
            raise Again(f"no reply within {self._timeout:g} s") from None
        except httpx2.InvalidURL as error:
            raise UserError(f"is no URL ({self._clean(error)}); check endpoint") from None
        # Before its base class below: nobody there is another matter than a broken reply.
        except httpx2.ConnectError as error:
            raise Again(f"no connection ({self._clean(error)})", absent=True) from None
        except httpx2.RequestError as error:
            raise Again(f"{type(error).__name__} ({self._clean(error)})") from None
        # Read for every status: some servers send it with a 200 that holds an error.
        after = retry_after(response.headers.get("retry-after"), datetime.now(UTC))
        try:
            body = self._struck(parse_json(bytes(data)))
        except (ValueError, RecursionError):  # ValueError includes bytes that are no text
            body = self._struck(data.decode("utf-8", "replace"))
        if response.status_code != 200:
            self._refuse(ask, response.status_code, body, after)
        if not isinstance(body, dict):
            raise Malformed("a reply that is not JSON" if isinstance(body, str) else _NO_OBJECT)
        # An error object wherever servers put it: in place of the choices, or inside one of them.
        # Without choices any word of what went wrong is better than "no choices".
        choices = body.get("choices")
        bare = body if not choices and ("detail" in body or "message" in body) else None
        inside = choices if isinstance(choices, list) else []
        errors = (choice.get("error") for choice in inside if isinstance(choice, dict))
        if found := body.get("error") or bare or next(filter(None, errors), None):
            # The status that the error object stands for; 500: it answered nothing and may yet.
            told = found if isinstance(found, dict) else {}
            texts = [str(told.get(name)).lower() for name in ("status", "code", "type")]
            numbers = [int(text) for text in texts if re.fullmatch(r"[45]\d\d", text)]
            words = [s for text in texts for word, s in _ERROR_WORDS.items() if word in text]
            status = next(iter([*numbers, *words]), 500)
            self._refuse(ask, status, {"error": found}, after)
        return body

    def _struck(self, body: Any) -> Any:
        """JSON data with the key struck out of every text, names included."""
        key = self._key()
        if not key:
            return body
        # Names as well: a server may send the request back as it came.
        match body:
            case str():
                return body.replace(key, "***")
            case list():
                return [self._struck(item) for item in body]
            case dict():
                return {self._struck(name): self._struck(item) for name, item in body.items()}
        return body

    def _refuse(self, ask: Request, status: int, body: Any, after: float | None) -> NoReturn:
        inside = body.get("error", body) if isinstance(body, dict) else body
        inside = inside if isinstance(inside, dict) else {"message": inside}
        # The usual shapes of an error: OpenAI's, a bare detail (FastAPI's), text.
        message = inside.get("message", inside.get("detail", inside))
        said = f"{status}: {self._clean(message)}"
        # A key that is refused once is refused always, so it ends the run.
        if status in (401, 403):
            key = f"the key in {self._key_env}" if self._key_env else "a request without a key"
            raise UserError(f"it refuses {key} ({said}); key_env names the variable that holds it")
        if status == 404 and not ask.optional:
            raise UserError(
                f"nothing at {ask.path}, or no model {ask.body.get('model')!r} there ({said}); "
                "check endpoint and model"
            )
        if status == 402 or inside.get("code") == "insufficient_quota":
            raise UserError(f"the account there is out of credit ({said})")
        if 300 <= status < 400:
            raise UserError(f"it redirects ({said}); give the address it redirects to")
        if status in _TRANSIENT:
            raise Again(f"status {said}", after)
        raise Refused(f"the endpoint refused the request ({said})")

    def _key(self) -> str:
        return os.environ.get(self._key_env or "", "").strip()

    def _clean(self, said: object) -> str:
        """One short line of what a server or library said, harmless and without the key."""
        text = " ".join(str(said).split())
        text = text.replace(self._key(), "***") if self._key() else text
        return safe_text(text[:200]) or "no message"


def retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds a ``Retry-After`` header asks to wait (RFC 9110, 10.2.3: seconds, or an HTTP date).

    None where the header is absent or says nothing sensible.
    """
    text = (value or "").strip()
    # No more digits than a wait can have: `float` of a long run of them is infinite.
    if re.fullmatch(r"\d{1,9}(\.\d*)?", text):
        return float(text)
    try:
        when = parsedate_to_datetime(text)
        when = when if when.tzinfo else when.replace(tzinfo=UTC)
        return max(0.0, (when - now).total_seconds())
    except (ValueError, OverflowError):
        return None


def is_loopback(url: str) -> bool:
    """Whether a URL names this machine by its loopback name or address."""
    try:
        host = httpx2.URL(url).host
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except (httpx2.InvalidURL, ValueError):
        return False
