"""`EndpointModel` against a real HTTP server that misbehaves: counts of requests are exact."""

import asyncio
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from loopback_server import LoopbackServer, Reply, chat_reply, question, text_reply, used_by

from whyfirst.config.errors import StoreError, UserError
from whyfirst.config.process import identity
from whyfirst.models.base import LanguageModel, Sampling, asked
from whyfirst.models.endpoint import EndpointModel
from whyfirst.models.endpoint_client import Limits, _Pace
from whyfirst.models.endpoint_http import retry_after
from whyfirst.models.spend import RUN, SPENT, Spend, new_run

Handler = Callable[[dict[str, Any]], Reply]
QUICK = Limits(concurrency=8, timeout=5.0, deadline=60.0, pause=0.001)
A = asked("a")
HOT = Sampling(max_new_tokens=8, temperature=1.0)


def model_at(server: LoopbackServer, **more: Any) -> EndpointModel:
    return EndpointModel(server.url, "tiny", **{"limits": QUICK, **more})


def echo(request: dict[str, Any]) -> Reply:
    return chat_reply(f"re: {question(request)}")


def first_then(first: list[Reply], then: Handler = echo) -> Handler:
    """Each question gets the replies of `first` before it is answered."""
    seen: Counter[str] = Counter()
    lock = threading.Lock()

    def handler(request: dict[str, Any]) -> Reply:
        with lock:
            number = seen[question(request)]
            seen[question(request)] += 1
        return first[number] if number < len(first) else then(request)

    return handler


def test_a_chat_is_asked_as_messages_and_a_text_as_a_prompt() -> None:
    def handler(request: dict[str, Any]) -> Reply:
        return echo(request) if "messages" in request["body"] else text_reply(" and on")

    with LoopbackServer(handler) as server:
        model: LanguageModel = model_at(server)
        sampling = Sampling(max_new_tokens=5, stop=("x",))
        found = model.generate([asked("why?", system="be brief"), "once"], sampling=sampling)
    assert [row[0].text for row in found] == ["re: why?", " and on"]
    assert all(row[0].finished and row[0].problem is None for row in found)
    chat, text = sorted(server.requests, key=lambda r: r["path"])
    assert (chat["path"], text["path"]) == ("/v1/chat/completions", "/v1/completions")
    assert chat["body"] == {
        "model": "tiny",
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "why?"},
        ],
        "max_tokens": 5,
        "temperature": 0.0,
        "stop": ["x"],
    }
    assert text["body"]["prompt"] == "once"
    assert model.chat_template == "endpoint"
    assert "Authorization" not in chat["headers"]


def test_greedy_asks_each_prompt_once_and_repeats_the_answer() -> None:
    with LoopbackServer(echo) as server:
        found = model_at(server).generate([asked("a"), asked("b"), asked("a")], n=3)
    assert len(server.requests) == 2
    assert [[c.text for c in row] for row in found] == [["re: a"] * 3, ["re: b"] * 3, ["re: a"] * 3]


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "0"}, {"Retry-After": "nonsense"}])
@pytest.mark.parametrize("status", [429, 500, 503, 408])
def test_a_transient_failure_is_tried_again(status: int, headers: dict[str, str]) -> None:
    with LoopbackServer(first_then([Reply("busy", status, headers)] * 2)) as server:
        found = model_at(server).generate([asked(f"q{i}") for i in range(6)])
    assert [row[0].text for row in found] == [f"re: q{i}" for i in range(6)]
    assert len(server.requests) == 6 * 3


def test_retry_after_holds_back_every_request() -> None:
    lock = threading.Lock()
    refused: list[float] = []

    def handler(request: dict[str, Any]) -> Reply:
        with lock:
            if not refused:
                refused.append(request["time"])
                return Reply("slow down", 429, {"Retry-After": "0.3"})
        return echo(request)

    with LoopbackServer(handler) as server:
        model_at(server, limits=Limits(concurrency=1, pause=0.001)).generate(
            [asked("a"), asked("b")]
        )
        waits = [r["time"] - refused[0] for r in server.requests[1:]]
    assert len(waits) == 2 and min(waits) >= 0.29


def test_retry_after_is_read_as_seconds_or_as_a_date() -> None:
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert retry_after("7", now) == 7
    assert retry_after(" 1.5 ", now) == 1.5
    assert retry_after(format_datetime(now + timedelta(seconds=90), usegmt=True), now) == 90
    assert retry_after(format_datetime(now - timedelta(days=1), usegmt=True), now) == 0
    for nonsense in (None, "", "soon", "-3", "1e99", "nan", "9" * 30, "Fri, 99 Foo 2026"):
        assert retry_after(nonsense, now) is None


def test_a_wait_past_the_deadline_stops_at_once() -> None:
    with (
        LoopbackServer(lambda r: Reply("", 429, {"Retry-After": "3600"})) as server,
        pytest.raises(UserError, match="past deadline_s 60"),
    ):
        model_at(server).generate([asked("a")])
    assert len(server.requests) == 1


def test_attempts_are_finite_and_one_poisoned_request_is_its_own_problem() -> None:
    def handler(request: dict[str, Any]) -> Reply:
        return Reply("boom", 500) if question(request) == "bad" else echo(request)

    with LoopbackServer(handler) as server:
        model = model_at(server)
        model.generate([asked("first")])
        found = model.generate([asked("bad"), asked("good")])
    assert found[1][0].text == "re: good"
    assert found[0][0].problem is not None and "500" in found[0][0].problem
    assert Counter(question(r) for r in server.requests) == {"first": 1, "bad": 8, "good": 1}


def test_an_endpoint_that_goes_away_stops_the_run() -> None:
    def handler(request: dict[str, Any]) -> Reply:
        return echo(request) if question(request) == "first" else Reply("gone", 502)

    with LoopbackServer(handler) as server:
        model = model_at(server)
        model.generate([asked("first")])
        with pytest.raises(UserError, match="doesn't answer: status 502"):
            model.generate([asked(str(i)) for i in range(100)])
    assert len(server.requests) < 20 * 8


def test_an_endpoint_that_is_not_there_is_one_clear_message() -> None:
    with LoopbackServer(echo) as server:
        url = server.url
    model = EndpointModel(url, "tiny", limits=QUICK)
    with pytest.raises(UserError, match="it doesn't answer: no connection") as caught:
        model.generate([asked("a")])
    assert url in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://a..b/v1", "http://no-such-host.invalid/v1"])
def test_an_impossible_or_unknown_host_is_one_clear_message(url: str) -> None:
    with pytest.raises(UserError) as caught:
        EndpointModel(url, "tiny", limits=QUICK).generate([asked("a")])
    assert url in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (401, {"error": {"message": "Incorrect API key"}}, "refuses the key in TINY_KEY"),
        (403, "no", "refuses the key in TINY_KEY"),
        (404, {"error": {"message": "no such model"}}, "no model 'tiny' there .404: no such model"),
        (402, "", "out of credit"),
        (429, {"error": {"code": "insufficient_quota", "message": "x"}}, "out of credit"),
        (307, "", "it redirects"),
    ],
)
def test_what_no_retry_can_mend_is_not_retried(
    status: int, body: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TINY_KEY", "sk-secret-1")
    limits = Limits(concurrency=1, pause=0.001)
    with (
        LoopbackServer(lambda r: Reply(body, status, {"Location": "/else"})) as server,
        pytest.raises(UserError, match=message),
    ):
        model_at(server, key_env="TINY_KEY", limits=limits).generate([asked("a"), asked("b")])
    assert len(server.requests) == 1


def test_a_refused_request_is_its_own_problem() -> None:
    def handler(request: dict[str, Any]) -> Reply:
        too_long = Reply({"error": {"message": "maximum context length is 8"}}, 400)
        return too_long if question(request) == "long" else echo(request)

    with LoopbackServer(handler) as server:
        found = model_at(server).generate([asked("long"), asked("b")])
    assert "maximum context length" in str(found[0][0].problem)
    assert found[1][0].text == "re: b" and len(server.requests) == 2


BAD = {
    "not json": Reply("<html>hello</html>"),
    "empty": Reply(""),
    "a list": Reply("[1]"),
    "a deep list": Reply("[" * 100_000),
    "half an object": Reply('{"choices": [{"message"'),
    "bytes that are no text": Reply(b"\xff\xfe\x00{"),
    "no choice": Reply({"choices": []}),
    "choices that are none": Reply({"choices": ["text"]}),
    "no choices": Reply({"choices": None}),
    "no message": Reply({"choices": [{"message": None}]}),
    "a number for a text": Reply({"choices": [{"message": {"content": 7}}]}),
    "huge": Reply(b'{"choices": [{"message": {"content": "' + b"a" * (17 * 2**20) + b'"}}]}'),
}


@pytest.mark.parametrize("name", BAD)
def test_a_malformed_reply_is_a_problem_after_a_second_attempt(name: str) -> None:
    with LoopbackServer(lambda r: BAD[name]) as server:
        (found,) = model_at(server).generate([asked("a")])
    assert found[0].text == "" and not found[0].finished
    assert str(found[0].problem).startswith("the endpoint sent ")
    assert len(server.requests) == 2


@pytest.mark.parametrize("finish", ["tool_calls", "abort", "error", "unknown", None, 7])
def test_only_an_end_or_a_cut_is_an_answer_and_nothing_else_is_kept(
    finish: Any, tmp_path: Path
) -> None:
    reply = {"choices": [{"message": {"content": "half an ans"}, "finish_reason": finish}]}
    with LoopbackServer(lambda r: Reply(reply)) as server:
        for count in (1, 2):  # asked again by the second: it is not kept
            model = model_at(server, store=tmp_path / "r.jsonl")
            (found,) = model.generate([asked("a")])
            assert found[0].text == "" and repr(finish) in str(found[0].problem)
            assert len(server.requests) == count


@pytest.mark.parametrize("finish", ["end_turn", "STOP", "max_tokens", "MAX_TOKENS"])
def test_other_servers_words_for_an_end_and_a_cut_are_understood(finish: str) -> None:
    with LoopbackServer(lambda r: chat_reply("text", finish=finish)) as server:
        (found,) = model_at(server).generate([asked("a")])
    assert (found[0].text, found[0].problem) == ("text", None)
    assert found[0].finished == (finish in ("end_turn", "STOP"))


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ({"message": "Too Many Requests", "code": 429}, "doesn't answer: status 429"),
        ({"message": "busy", "type": "overloaded_error"}, "doesn't answer: status 503"),
        ("upstream is gone", "doesn't answer: status 500: upstream is gone"),
        ({"message": "no", "code": "invalid_api_key"}, "refuses a request without a key"),
        ({"message": "pay", "code": "insufficient_quota"}, "out of credit"),
    ],
)
def test_an_error_inside_a_200_counts_as_that_error(error: Any, told: str) -> None:
    reply = Reply({"id": None, "choices": None, "error": error})
    with LoopbackServer(lambda r: reply) as server, pytest.raises(UserError, match=told):
        model_at(server).generate([asked(str(i)) for i in range(60)])
    assert len(server.requests) <= 4 * 8  # the pace does not grow


def test_an_error_inside_a_200_about_one_request_is_its_own_problem() -> None:
    too_long = Reply({"error": {"message": "too long", "code": "context_length_exceeded"}})
    with LoopbackServer(lambda r: too_long if question(r) == "long" else echo(r)) as server:
        found = model_at(server).generate([asked("long"), asked("b")])
    assert "too long" in str(found[0][0].problem) and not found[0][0].transient
    assert found[1][0].text == "re: b"


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (Reply({"error": {"message": "temperature is not supported"}}, 400), "is not supported"),
        (Reply({"choices": [{"message": {"content": "a"}}]}), "finish_reason None"),
        (Reply({"choices": [{"error": {"code": 502, "message": "gone"}}]}), "status 502: gone"),
        (Reply({"detail": "sign in first"}), "status 500: sign in first"),
        (Reply({"object": "error", "message": "no such model", "code": 404}), "no model 'tiny'"),
    ],
)
def test_every_request_is_unanswered_and_the_run_goes_on(reply: Reply, told: str) -> None:
    with LoopbackServer(lambda r: reply) as server, pytest.raises(UserError, match=told):
        model_at(server).generate([asked(str(i)) for i in range(60)])
    assert len(server.requests) <= 4 * 8


def test_a_filter_that_holds_back_every_prompt_stops_the_run() -> None:
    """Harmful prompts may well all be held back: each is unscored, and the next is asked."""
    held = Reply({"error": {"message": "held back by the content_policy"}}, 400)
    with LoopbackServer(lambda r: held) as server:
        found = model_at(server).generate([asked(str(i)) for i in range(20)])
    assert all("content_policy" in str(row[0].problem) for row in found)


def test_a_page_in_place_of_every_reply_stops_after_five(tmp_path: Path) -> None:
    with (
        LoopbackServer(lambda r: Reply("<html>please sign in</html>")) as server,
        pytest.raises(UserError, match="doesn't answer: the endpoint sent a reply that is not"),
    ):
        model_at(server).generate([asked(str(i)) for i in range(60)])
    assert len(server.requests) <= 2 * 10


def test_loopback_never_goes_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with LoopbackServer(lambda r: chat_reply("from the proxy")) as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        with LoopbackServer(echo) as server:
            (found,) = model_at(server).generate([asked("a")])
    assert found[0].text == "re: a" and not proxy.requests


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HTTPS_PROXY", "socks5://127.0.0.1:1"),
        ("ALL_PROXY", "ftp://proxy"),
        ("HTTPS_PROXY", "http://host:port"),
        ("SSL_CERT_FILE", "/no/such/file.pem"),
    ],
)
def test_an_unusable_proxy_or_certificate_setting_is_named(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=name) as caught:
        EndpointModel("https://example.invalid/v1", "tiny", limits=QUICK).generate([asked("a")])
    assert "\n" not in str(caught.value)


def test_a_truncated_or_slow_reply_is_tried_again() -> None:
    whole = echo({"body": {"messages": [{"content": "a"}]}})
    first = [
        Reply(whole.body, truncate=20),
        Reply(whole.body, wait=0.5),
    ]
    with LoopbackServer(first_then(first)) as server:
        limits = Limits(timeout=0.2, pause=0.001)
        model = model_at(server, limits=limits)
        model.generate([asked("warm")])  # both of its bad replies, too
        (found,) = model.generate([asked("a")])
    assert found[0].text == "re: a"
    assert Counter(question(r) for r in server.requests) == {"warm": 3, "a": 3}


def test_hostile_text_is_kept_as_text(tmp_path: Path) -> None:
    hostile = "\x1b[2J\x00\r\u202e\ud800 </script>\u2028{{7*7}}\n"
    with LoopbackServer(lambda r: chat_reply(hostile)) as server:
        store = tmp_path / "replies.jsonl"
        first = model_at(server, store=store).generate([asked("a\ud800")])
        again = model_at(server, store=store).generate([asked("a\ud800")])
    assert first[0][0].text == hostile.replace("\ud800", "\ufffd")
    assert again == first and len(server.requests) == 1


def test_a_hostile_error_message_is_one_short_harmless_line() -> None:
    said = "\x1b]0;owned\x07\n\n" + "A" * 9000
    with (
        LoopbackServer(lambda r: Reply({"error": {"message": said}}, 404)) as server,
        pytest.raises(UserError) as caught,
    ):
        model_at(server).generate([asked("a")])
    assert "\x1b" not in str(caught.value) and "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize("given", [1, 2, 5])
def test_a_server_that_ignores_n_is_asked_until_all_samples_are_there(given: int) -> None:
    def handler(request: dict[str, Any]) -> Reply:
        return chat_reply(*(f"{request['number']}.{i}" for i in range(given)))

    with LoopbackServer(handler) as server:
        (found,) = model_at(server).generate([asked("a")], n=4, sampling=HOT)
    texts = [c.text for c in found]
    assert len(set(texts)) == 4
    assert len(server.requests) == math.ceil(4 / given)
    asked_for = [r["body"]["n"] for r in server.requests]
    assert asked_for == list(range(4, 0, -given))
    # The same seed would draw the earlier samples again.
    assert len({r["body"]["seed"] for r in server.requests}) == len(server.requests)


def test_length_filter_refusal_parts_and_missing_text() -> None:
    def choice(message: dict[str, Any], finish: str) -> Reply:
        return Reply({"choices": [{"message": message, "finish_reason": finish}]})

    replies = {
        "cut": choice({"content": "half"}, "length"),
        "thought": choice({"content": None}, "length"),
        "filtered": choice({"content": "x"}, "content_filter"),
        "refused": choice({"content": None, "refusal": "I won't."}, "stop"),
        "parts": choice({"content": [{"type": "text", "text": "a"}, {"text": "b"}]}, "stop"),
        "aloud": choice(
            {"content": [{"type": "reasoning", "text": "hm"}, {"type": "text", "text": "a"}]},
            "stop",
        ),
        "tool": choice({"content": None}, "tool_calls"),
    }
    with LoopbackServer(lambda r: replies[question(r)]) as server:
        found = model_at(server).generate([asked(name) for name in replies])
    by_name = dict(zip(replies, (row[0] for row in found), strict=True))
    assert (by_name["cut"].text, by_name["cut"].finished) == ("half", False)
    assert (by_name["thought"].text, by_name["thought"].problem) == ("", None)
    assert "content_filter" in str(by_name["filtered"].problem)
    assert by_name["refused"].text == "I won't."
    assert by_name["parts"].text == "ab"
    assert by_name["aloud"].text == "a"
    assert "finish_reason 'tool_calls'" in str(by_name["tool"].problem)


def test_every_stop_text_holds_though_a_server_takes_four() -> None:
    with LoopbackServer(lambda r: chat_reply("one six two", finish="length")) as server:
        sampling = Sampling(stop=("a", "b", "c", "d", " six"))
        (found,) = model_at(server).generate([asked("q")], sampling=sampling)
    assert server.requests[0]["body"]["stop"] == ["a", "b", "c", "d"]
    assert (found[0].text, found[0].finished) == ("one", True)


def test_a_model_that_wants_max_completion_tokens_gets_it() -> None:
    def handler(request: dict[str, Any]) -> Reply:
        if "max_tokens" in request["body"]:
            said = "Unsupported parameter: use 'max_completion_tokens' instead"
            return Reply({"error": {"message": said}}, 400)
        return echo(request)

    with LoopbackServer(handler) as server:
        model = model_at(server)
        assert model.generate([asked("a")])[0][0].text == "re: a"
        assert model.generate([asked("b")])[0][0].text == "re: b"
    assert len(server.requests) == 3


def test_concurrency_grows_from_few_towards_its_limit() -> None:
    def handler(request: dict[str, Any]) -> Reply:
        # Nobody is answered before as many are there at once as must be.
        target = 4 if request["number"] < 4 else 8 if 40 <= request["number"] < 48 else 1
        patience = time.monotonic() + 5
        while server.most_busy < target and time.monotonic() < patience:
            time.sleep(0.001)
        return echo(request)

    with LoopbackServer(handler) as server:
        model_at(server).generate([asked(str(i)) for i in range(60)])
    assert server.most_busy == 8


def test_the_pace_grows_by_one_a_round_and_halves_once_a_round() -> None:
    pace = _Pace(most=6, limit=4.0)
    for _ in range(5):
        pace.grow()
    assert 5 <= pace.limit < 5.2
    for _ in range(50):
        pace.grow()
    assert pace.limit == 6
    pace.cut(launched=1.0, now=2.0)
    assert pace.limit == 3
    pace.cut(launched=1.5, now=2.1)  # was under way before the cut
    assert pace.limit == 3
    for now in range(3, 9):
        pace.cut(launched=now - 0.5, now=now)
    assert pace.limit == 1


def test_nothing_is_asked_twice_and_everything_that_matters_is_in_the_key(tmp_path: Path) -> None:
    store = tmp_path / "deep" / "replies.jsonl"
    with LoopbackServer(echo) as server:

        def ask(count: int, prompt: Any = A, sampling: Sampling = HOT, **more: Any) -> None:
            model_at(server, store=store, **more).generate([prompt], n=2, sampling=sampling)
            assert len(server.requests) == count

        ask(2)  # this server gives one sample a request
        ask(2)
        ask(4, prompt=asked("b"))
        ask(6, prompt=asked("a", system="s"))
        ask(8, sampling=Sampling(max_new_tokens=8, temperature=1.0, seed=1))
        ask(10, sampling=Sampling(max_new_tokens=9, temperature=1.0))
        ask(12, revision="v2")
        other = EndpointModel(server.url, "other", store=store, limits=QUICK)
        other.generate([asked("a")], n=2, sampling=HOT)
        assert len(server.requests) == 14
        assert model_at(server).fingerprint == model_at(server, store=store).fingerprint
        assert len({m.fingerprint for m in (model_at(server), other)}) == 2
        usage = model_at(server, store=store).usage
    assert (usage.calls, usage.cached) == (0, 0)


def test_a_torn_line_is_no_reply_and_is_repaired(tmp_path: Path) -> None:
    store = tmp_path / "replies.jsonl"
    with LoopbackServer(echo) as server:
        model_at(server, store=store).generate([asked("a"), asked("b")])
        whole = store.read_bytes()
        store.write_bytes(whole[:-9])
        model_at(server, store=store).generate([asked("a"), asked("b")])
    assert len(server.requests) == 3
    rows = [json.loads(line) for line in store.read_text().splitlines()]
    assert len(rows) == 2 and store.read_bytes().endswith(b"\n")


def test_two_models_on_one_store_see_each_others_replies(tmp_path: Path) -> None:
    store = tmp_path / "replies.jsonl"
    with LoopbackServer(echo) as server:
        one, two = model_at(server, store=store), model_at(server, store=store)
        one.generate([asked("a")])
        two.generate([asked("b"), asked("a")])
        one.generate([asked("b")])
        assert len(server.requests) == 2
        assert one.usage.cached == two.usage.cached == 1


def test_a_store_that_cannot_be_written_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with LoopbackServer(echo) as server, pytest.raises(StoreError, match="can't be written"):
        model_at(server, store=tmp_path / "file" / "replies.jsonl").generate([asked("a")])


KILLED = """
import sys
from pathlib import Path
from whyfirst.models.base import asked
from whyfirst.models.endpoint import EndpointModel
from whyfirst.models.endpoint_client import Limits, _Pace
model = EndpointModel(sys.argv[1], "tiny", store=Path(sys.argv[2]), limits=Limits(concurrency=4))
found = model.generate([asked(str(i)) for i in range(60)])
print(sum(row[0].problem is None for row in found))
"""


def test_after_kill_9_only_what_is_missing_is_asked(tmp_path: Path) -> None:
    store = tmp_path / "replies.jsonl"
    with LoopbackServer(lambda r: Reply(echo(r).body, wait=0.01)) as server:
        command = [sys.executable, "-c", KILLED, server.url, str(store)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE)
        while len(server.requests) < 20 and child.poll() is None:
            time.sleep(0.002)
        os.kill(child.pid, signal.SIGKILL)
        child.communicate()
        time.sleep(0.05)
        asked_first = [question(r) for r in server.requests]
        kept = store.read_bytes().count(b"\n")
        assert 0 < kept <= len(asked_first) < 60
        server.requests.clear()
        again = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    assert again.stdout.strip() == b"60"
    assert len(server.requests) == 60 - kept
    assert not {question(r) for r in server.requests} & set(asked_first[: kept - 4])


def test_usage_counts_tokens_and_knows_a_price_only_if_told() -> None:
    details = {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    reply = chat_reply("x", usage=details)
    with LoopbackServer(lambda r: reply) as server:
        priced = model_at(server, spend=Spend(price_in=2.0, price_out=4.0))
        priced.generate([asked("a"), asked("b")])
        unpriced = model_at(server, spend=Spend(price_in=2.0))
        unpriced.generate([asked("a")])
    usage = priced.usage
    assert (usage.calls, usage.prompt_tokens, usage.completion_tokens) == (2, 20, 10)
    assert usage.reasoning_tokens == 4 and usage.tokens == 30
    assert usage.cost == pytest.approx((20 * 2 + 10 * 4) / 1e6)
    assert unpriced.usage.cost is None


@pytest.mark.parametrize("caps", [{"max_tokens": 500}, {"max_cost": 0.0005}])
def test_a_cap_stops_before_it_is_passed_and_a_rerun_continues(
    caps: dict[str, Any], tmp_path: Path
) -> None:
    prompts = [asked(str(i)) for i in range(30)]
    sampling = Sampling(max_new_tokens=20)

    def run() -> EndpointModel:
        spend = Spend(price_in=1.0, price_out=1.0, **caps)
        return model_at(server, store=tmp_path / "r.jsonl", spend=spend)

    with LoopbackServer(lambda r: chat_reply("x", usage=used_by(9, 11))) as server:
        used, rounds = [], 0
        while rounds < 9:
            rounds += 1
            model = run()
            try:
                model.generate(prompts, sampling=sampling)
            except UserError as error:
                assert "would be passed" in str(error) and "rerun continues" in str(error)
                assert f"{model.usage.tokens} tokens" in str(error)
                used.append(model.usage.tokens)
                continue
            break
    assert len(server.requests) == 30, "each prompt exactly once over all runs"
    assert rounds > 1 and used and all(200 < tokens <= 500 for tokens in used)


SPENDING = """
import sys
from pathlib import Path
from whyfirst.config.errors import UserError
from whyfirst.models.base import Sampling, asked
from whyfirst.models.reference import ModelRef, open_model
url, folder, name = sys.argv[1:]
ref = ModelRef(endpoint=url, model="tiny", max_tokens=500, max_concurrency=4)
try:
    model = open_model(ref, cache=Path(folder))
    model.generate([asked(f"{name} {n}") for n in range(30)], sampling=Sampling(max_new_tokens=20))
except UserError as error:
    print(error)
"""


def test_every_process_of_a_run_spends_a_cap_of_its_own(tmp_path: Path) -> None:
    """Three at once under one cap of 25 replies; another run has the whole cap again."""

    def spend(run: str, *names: str) -> list[str]:
        given = [sys.executable, "-c", SPENDING, server.url, str(tmp_path)]
        environment = os.environ | {RUN: run}
        started = [
            subprocess.Popen([*given, name], env=environment, stdout=subprocess.PIPE, text=True)
            for name in names
        ]
        return [process.communicate(timeout=120)[0] for process in started]

    one, other = new_run(), new_run()
    with LoopbackServer(lambda r: chat_reply("x", usage=used_by(9, 11))) as server:
        said = spend(one, "a", "b", "c")
        asked_first = len(server.requests)
        assert spend(one, "d")[0].count("max_tokens 500 would be passed") == 1
        assert len(server.requests) == asked_first
        spend(other, "a")
    assert 15 < asked_first <= 500 // 20
    assert sum("max_tokens 500 would be passed" in text for text in said) >= 2
    assert len(server.requests) > asked_first
    assert set(json.loads((tmp_path / SPENT).read_text())) == {one, other}


def test_what_a_killed_process_set_aside_is_spent_again(tmp_path: Path) -> None:
    """It may have been billed for; a run that has ended counts no more."""
    gone = json.dumps({**identity(), "pid": 2**22 + 1})
    run = new_run()
    rows = {"m": {"prompt": 50, "completion": 0, "unreported": 0, "held": {gone: [[10, 20]]}}}
    (tmp_path / SPENT).write_text(json.dumps({run: rows, gone: rows}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(RUN, run)
        spend = Spend(max_tokens=100, folder=tmp_path, model="m")
        assert spend.hold(10, 11) == "max_tokens 100"
        assert not spend.others_hold()
        assert spend.hold(10, 10) is None
        spend.release(10, 10)
    assert set(json.loads((tmp_path / SPENT).read_text())) == {run}


def test_a_cap_that_cannot_be_kept_is_said() -> None:
    with LoopbackServer(lambda r: chat_reply("x", usage=None)) as server:
        with pytest.raises(UserError, match="max_tokens can't be kept"):
            model_at(server, spend=Spend(max_tokens=10_000)).generate([asked("a")])
        free = model_at(server, spend=Spend(1.0, 1.0))
        free.generate([asked("a")])
    assert free.usage.unreported == 1 and free.usage.cost is None


def test_the_deadline_stops_the_run() -> None:
    limits = Limits(concurrency=2, deadline=0.2, pause=0.001)
    with (
        LoopbackServer(lambda r: Reply(echo(r).body, wait=0.05)) as server,
        pytest.raises(UserError, match=r"deadline_s 0\.2 is over"),
    ):
        model_at(server, limits=limits).generate([asked(str(i)) for i in range(50)])
    assert len(server.requests) < 50


def test_the_key_is_sent_and_is_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "sk-canary-0123456789"
    monkeypatch.setenv("TINY_KEY", secret)

    def handler(request: dict[str, Any]) -> Reply:
        sent = request["headers"]["Authorization"]
        if question(request) == "leak":
            return Reply({"error": {"message": f"bad header {sent}"}}, 400)
        if question(request) == "stop":
            return Reply({"error": {"message": f"bad header {sent}"}}, 401)
        return echo(request)

    with LoopbackServer(handler) as server:
        model = model_at(server, key_env="TINY_KEY", store=tmp_path / "r.jsonl")
        found = model.generate([asked("a"), asked("leak")])
        with pytest.raises(UserError) as caught:
            model.generate([asked("stop")])
    assert server.requests[0]["headers"]["Authorization"] == f"Bearer {secret}"
    chain = [caught.value, caught.value.__cause__, caught.value.__context__]
    seen = [
        repr(found),
        *(repr(e) for e in chain),
        repr(model),
        repr(vars(model)),
        model.fingerprint,
    ]
    seen += [path.read_text() for path in tmp_path.iterdir()]
    assert not any(secret in text for text in seen)
    assert "***" in str(found[1][0].problem) and "***" in str(caught.value)


@pytest.mark.parametrize("where", ["text", "usage", "name", "error", "cut", "page", "finish"])
def test_a_key_that_a_server_echoes_is_struck_out_before_anything_sees_it(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "sk-canary-0123456789"
    monkeypatch.setenv("TINY_KEY", secret)
    good = dict(echo({"body": {"messages": [{"content": f"I was sent {secret}."}]}}).body)
    choice = {"message": {"content": "a"}, "finish_reason": f"because {secret}"}
    body: Any = {
        "text": good,
        "usage": good | {"usage": {"prompt_tokens": 1, "completion_tokens": 1, secret: secret}},
        "name": {secret: 1},
        "error": {"error": {"message": f"key {secret}", "code": "content_policy"}},
        "cut": "x" * 390 + secret,  # half of it stood before the 400th byte
        "page": f"<html>{secret}</html>",
        "finish": {"choices": [choice]},
    }[where]
    status = 400 if where == "cut" else 200
    with LoopbackServer(lambda r: Reply(body, status)) as server:
        model = model_at(server, key_env="TINY_KEY", store=tmp_path / "r.jsonl")
        (found,) = model.generate([asked("a")])
    seen = repr(found) + "".join(path.read_text() for path in tmp_path.iterdir())
    assert not any(secret[:end] in seen for end in range(8, len(secret) + 1))
    assert server.requests[0]["headers"]["Authorization"] == f"Bearer {secret}"


def test_a_missing_or_impossible_key_is_said_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    model = EndpointModel("http://127.0.0.1:9/v1", "tiny", key_env="TINY_KEY")
    monkeypatch.delenv("TINY_KEY", raising=False)
    with pytest.raises(UserError, match="TINY_KEY is not set"):
        model.generate([asked("a")])
    monkeypatch.setenv("TINY_KEY", "two\nlines")
    with pytest.raises(UserError, match="TINY_KEY") as caught:
        model.generate([asked("a")])
    assert "two" not in str(caught.value)


def test_it_can_be_asked_from_inside_an_event_loop() -> None:
    async def inside() -> str:
        return model_at(server).generate([asked("a")])[0][0].text

    with LoopbackServer(echo) as server:
        assert asyncio.run(inside()) == "re: a"


def test_a_chat_without_a_question_is_a_programming_error() -> None:
    with pytest.raises(ValueError, match="user's turn"):
        EndpointModel("http://127.0.0.1:9/v1", "tiny").generate([()])


def scoring(request: dict[str, Any]) -> Reply:
    """A server whose tokens are words with the space before them, logprob -(number of letters)."""
    body = request["body"]
    words = body["prompt"].replace(" ", "\0 ").split("\0")
    usage = {"prompt_tokens": len(words), "completion_tokens": 1}
    choice: dict[str, Any] = {"index": 0, "text": " z", "finish_reason": "length"}
    if body.get("echo"):
        values = [None, *(-float(len(word.strip())) for word in words[1:]), -99.0]
        choice |= {"text": body["prompt"] + " z", "logprobs": {"token_logprobs": values}}
    return Reply({"choices": [choice], "usage": usage})


def test_loglikelihoods_are_cut_where_the_prompts_own_tokens_end(tmp_path: Path) -> None:
    requests = [("one two", [" three", " four six", ""]), ("one two ", ["three"]), ("x", [" yy"])]
    with LoopbackServer(scoring) as server:
        model = model_at(server, store=tmp_path / "r.jsonl")
        found = model.loglikelihood(requests)
        count = len(server.requests)
        again = model_at(server, store=tmp_path / "r.jsonl").loglikelihood(requests)
        assert len(server.requests) == count
    values = [[(a.logprob, a.tokens, a.problem) for a in row] for row in found]
    assert values == [
        [(-5.0, 1, None), (-7.0, 2, None), (0.0, 0, None)],
        [(-5.0, 1, None)],
        [(-2.0, 1, None)],
    ]
    assert again == found
    assert count == 2 + 4  # two distinct prompts counted, four pairs scored


def test_what_an_endpoint_cannot_score_says_so() -> None:
    with LoopbackServer(scoring) as server:
        chat, empty = model_at(server).loglikelihood([(asked("a"), ["b"]), ("", ["b"])])
    assert not server.requests
    assert "chat" in str(chat[0].problem) and math.isnan(chat[0].logprob)
    assert "first token" in str(empty[0].problem)


@pytest.mark.parametrize(
    "reply",
    [
        text_reply(" z"),
        Reply({"error": {"message": "echo is not supported"}}, 400),
        Reply("nothing here", 404),
        Reply("not implemented", 501),
    ],
)
def test_a_server_without_prompt_logprobs_is_asked_once_and_leaves_a_problem(reply: Reply) -> None:
    requests = [(f"prompt {i}", [" a", " b b"]) for i in range(20)]
    with LoopbackServer(lambda r: reply) as server:
        found = model_at(server).loglikelihood(requests)
    assert all(a.problem and math.isnan(a.logprob) for row in found for a in row)
    assert len(server.requests) <= 3
