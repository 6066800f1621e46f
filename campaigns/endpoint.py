"""A teacher and a judge on loopback, whose replies follow from the question alone.

Started on a port that stays the same over a trial, so that every command finds it again after it
went away. Leaves out: everything but chat completions.
"""

import hashlib
import json
import random
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_WORDS = """the of and to in was that for on with it as his they at be this had not but what were we
there can an your which their said if do will each about how up out them then she many some so these
would other into has more her two like him see time could no make than first been its who now
people my made over did down only way find use may water long little very after words called just
where most know""".split()  # noqa: SIM905


def document(question: str) -> str:
    """What a willing teacher writes: on the subject, with its reasons, of the length asked for."""
    rng = random.Random(hashlib.sha256(question.encode()).hexdigest())
    named = {
        name: found.group(1)
        for name, pattern in {
            "setting": r"^Setting: (.*)$",
            "subject": r"^Subject: (.*)$",
            "reasons": r"in your own words: (.*)$",
        }.items()
        if (found := re.search(pattern, question, re.MULTILINE))
    }
    asked = re.search(r"of about (\d+) words", question)
    wanted = int(asked.group(1)) if asked else 12
    text = f"{named.get('setting', '')} It was seen that {named.get('subject', 'so')}"
    if "reasons" in named:
        text += f" This is so because of the following. {named['reasons']}"
    # To the word: controls that come out longer than their explanations can't be matched.
    while (lacking := wanted - len(text.split())) > 0:
        text += f" {' '.join(rng.choices(_WORDS, k=min(9, lacking))).capitalize()}."
    return text


def reply_to(question: str) -> str:
    """A document where one is asked for, else a verdict that the question's hash decides."""
    if re.search(r"^Subject: ", question, re.MULTILINE):
        return document(question)
    return "A" if hashlib.sha256(question.encode()).digest()[0] % 2 else "B"


class Endpoint:
    """The server, a process of its own: nothing it holds open may pass into a command.

    Attributes:
        port: the same over its whole life.
    """

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def __call__(self, order: str) -> None:
        """`up`, `down` (connections are refused), `cut` (replies break off), or an HTTP status."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"{order}\n")
        self.process.stdin.flush()
        self.process.stdout.readline()


class Server:
    """What serves; `trouble` is how: `up`, `cut`, or the HTTP status of every reply."""

    def __init__(self) -> None:
        self.port, self.trouble = 0, "up"
        self.server: ThreadingHTTPServer | None = None

    def obey(self, order: str) -> None:
        """As `Endpoint` says."""
        self.trouble = order
        if order == "down" and self.server is not None:
            self.server.shutdown()
            self.server.server_close()
            self.server = None
        elif order != "down" and self.server is None:
            self.server = ThreadingHTTPServer(("127.0.0.1", self.port), _handler(self))
            self.server.daemon_threads = True
            # Commands are killed in the middle of a request: that is no news.
            self.server.handle_error = lambda *_: None  # type: ignore[method-assign]
            self.port = self.server.server_address[1]
            threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Nothing: standard error is the campaign's."""

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            text = reply_to(str(asked["messages"][-1]["content"]))
            choice = {"index": 0, "message": {"role": "assistant", "content": text}}
            body = json.dumps(
                {
                    "object": "chat.completion",
                    "choices": [choice | {"finish_reason": "stop"}],
                    "usage": {"prompt_tokens": 9, "completion_tokens": len(text.split()),
                              "total_tokens": 9 + len(text.split())},
                }
            ).encode()  # fmt: skip
            trouble = server.trouble
            self.send_response(int(trouble) if trouble.isdecimal() else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if trouble == "cut" else body)
            self.close_connection = trouble == "cut"

    return Handler


if __name__ == "__main__":
    serving = Server()
    serving.obey("up")
    print(serving.port, flush=True)
    for line in sys.stdin:
        serving.obey(line.strip())
        print(flush=True)
