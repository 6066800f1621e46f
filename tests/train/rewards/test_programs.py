"""Programs of a model can compute, and nothing else whatever they try."""

import os
import time
from pathlib import Path

import pytest

from whyfirst.train.rewards import REWARDS
from whyfirst.train.rewards.execution_semantics import same_value, semantics_value
from whyfirst.train.rewards.programs import Ran, run, run_all


def test_a_harmless_program_is_kept_from_computing() -> None:
    ran = run(
        "import math, re\nn = int(input())\nxs = [i * i for i in range(n)]\ndone = n > 2\n"
        "def f(): return 1\nprint(math.factorial(n), sum(xs))",
        "5",
    )
    assert ran == Ran("120 30\n", {"n": 5, "xs": [0, 1, 4, 9, 16], "done": True}, None)
    assert run("x = 1\nx / 0").problem == "ZeroDivisionError"
    assert run("x = (").problem == "SyntaxError"
    assert run("x = 2\nraise SystemExit(3)").variables == {"x": 2}


HOSTILE = {
    "writes a file": "open({path!r}, 'w').write('x')",
    "writes through the interpreter": "import io\nio.FileIO({path!r}, 'w').write(b'x')",
    "reads a file": "print(open('/etc/passwd').read())",
    "lists a folder": "import sys\nprint(sys.modules['os'].listdir('/'))",
    "starts a process": "import sys\nsys.modules['os'].system('touch ' + {path!r})",
    "forks": "import sys\nwhile True: sys.modules['os'].fork()",
    "starts a thread": "import _thread\n_thread.start_new_thread(print, ())",
    "opens a socket": "import _socket\n_socket.socket()",
    "opens a socket by name": "import socket\nsocket.create_connection(('127.0.0.1', 1))",
    "kills its parent": "import sys\no = sys.modules['os']\no.kill(o.getppid(), 9)",
    "deletes": "import sys\nsys.modules['os'].unlink({path!r})",
    "loads a library": "import ctypes\nctypes.CDLL(None).fork()\nctypes.CDLL('libm.so.6')",
    "takes the limit off": "import resource\nresource.setrlimit(resource.RLIMIT_CPU, (99, 99))",
    "takes all memory": "x = [0] * 10**10",
    "recurses": "def f(): f()\nf()",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_program_does_it(what: str, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("as it was")
    ran = run(HOSTILE[what].replace("{path!r}", repr(str(kept))))
    assert ran.output == ""
    # A system call that is refused may come back as a code and not as an error.
    assert ran.problem is not None or what in ("starts a process", "loads a library")
    assert kept.read_text() == "as it was"


def test_endless_programs_go_on() -> None:
    begun = time.monotonic()
    looping, sleeping = run_all([("while True: pass", ""), ("import time\ntime.sleep(99)", "")])
    assert looping.problem is not None
    assert sleeping.problem is not None
    assert time.monotonic() - begun < 40


def test_output_without_end_fills_the_disk_or_the_memory() -> None:
    direct = "import sys\nwhile True: sys.__stdout__.buffer.raw.write(b'x' * 65536)"
    assert run(direct).problem is not None
    assert run("while True: print('x' * 65536)").problem is not None


def test_secrets_of_the_environment_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "secret")
    ran = run("import sys\nprint(dict(sys.modules['os'].environ))")
    assert "secret" not in ran.output
    assert os.environ["SOME_KEY"] == "secret"


def test_lying_about_what_it_is_passes_for_output() -> None:
    forged = 'import sys\nsys.__stdout__.write(\'{"output": "4"}\')\nsys.__stdout__.flush()'
    assert run(forged).output == ""


@pytest.mark.parametrize(
    ("told", "true", "same"),
    [
        (1, 1.0, True), ("true", True, True), (True, "True", True), ("1", 1, True),
        ([1, "a"], [1.0, "A"], True), ({"k": 1}, {"k": 1}, True), ({"k": 1}, {}, False),
        (1, True, False), ([1], [1, 2], False), (None, 0, False), ("a", "b", False),
    ],
)  # fmt: skip
def test_equality_of_values(told: object, true: object, same: bool) -> None:
    assert same_value(told, true) is same


def test_three_of_four_items() -> None:
    ran = Ran("7\n", {"a": 1, "b": [2], "c": "x"}, None)
    said = 'it goes so\n{"a": 1, "b": [2], "c": "y", "output": "7"}'
    assert semantics_value(said, ran) == pytest.approx(0.775)
    assert semantics_value('{"a": 1', ran) == semantics_value("", ran) == 0
    assert semantics_value("{}", ran) == pytest.approx(0.1)


def test_rewards_of_programs() -> None:
    tests = [{"given": "3", "output": "9"}, {"given": "4", "output": "16"}]
    good = "Here:\n```python\nn = int(input())\nprint(n * n)\n```"
    given = REWARDS.make("code_tests")(
        ["p"] * 3, [good, "print(9)", good], [[0]] * 3, [tests, tests, []]
    )
    assert given == [1, 0, None]
    foretold = REWARDS.make("execution_semantics")(
        ["p"] * 2, ['{"x": 2, "output": ""}', "{}"], [[0]] * 2, ["x = 1 + 1", "1 / 0"]
    )
    assert foretold == [pytest.approx(1.0), None]
