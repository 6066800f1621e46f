"""The command line itself: quick help, errors as one message, exit codes, clean output."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cli_helpers import RunHere, environment, one_object, whyfirst

import whyfirst as package

HEAVY = ("torch", "transformers", "trl", "datasets", "numpy", "scipy", "matplotlib", "pydantic",
         "jinja2", "yaml")  # fmt: skip
VERBS = ["demo", "study", "study run", "study plan", "study register", "study status", "eval",
         "report", "hearth", "hearth build", "list", "env"]  # fmt: skip


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["study", "run", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    """Help took seconds because a verb's work was imported at the top."""
    # typer itself imports pydantic to build a verb's options.
    heavy = [name for name in HEAVY if name != "pydantic" or len(arguments) == 1]
    code = (
        "import sys\n"
        "from whyfirst.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit as exit:\n    assert not exit.code\n"
        f"print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True, text=True, env=environment(),
    )  # fmt: skip
    assert done.stderr.strip().splitlines()[-1] == "[]", done.stderr
    assert done.returncode == 0


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb: str, run_here: RunHere) -> None:
    """A broken annotation breaks a verb's help and the verb."""
    code, out, _ = run_here(*verb.split(), "--help")
    assert code == 0
    assert f"whyfirst {verb}" in " ".join(out.split())


def test_version_is_the_package_s(run_here: RunHere) -> None:
    """`--version` answered with a number of its own."""
    code, out, _ = run_here("--version")
    assert (code, out.strip()) == (0, f"whyfirst {package.__version__}")


@pytest.mark.parametrize(
    ("arguments", "meant"), [(["stduy"], "study"), (["study", "rnu"], "run"), (["evla"], "eval")]
)
def test_a_mistyped_verb_names_the_nearest(
    arguments: list[str], meant: str, run_here: RunHere
) -> None:
    """A typo was answered with the whole help or nothing."""
    code, out, err = run_here(*arguments)
    assert code == 2
    assert out == ""
    assert f"Did you mean '{meant}'" in err


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["list", "benchmrks"], "benchmarks"),
        (["eval", "--model", ".", "--benchmarks", "prefrence"], "preference"),
    ],
)
def test_a_mistyped_name_names_the_nearest(
    arguments: list[str], meant: str, run_here: RunHere
) -> None:
    """A wrong name of a thing must be as helpful as a wrong verb."""
    code, out, err = run_here(*arguments)
    assert (code, out) == (2, "")
    assert f"did you mean '{meant}'?" in err


def test_a_user_s_mistake_is_one_message(tmp_path: Path) -> None:
    """A configuration error ended in a traceback, or in exit code 1."""
    (tmp_path / "bad.yaml").write_text("study: x\nsedes: 3\n")
    done = whyfirst("study", "run", "bad.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert "bad.yaml:2" in done.stderr
    assert "did you mean 'seeds'?" in done.stderr


def test_escapes_in_a_message_are_shown_and_not_obeyed(tmp_path: Path) -> None:
    """A file name with a terminal's escape codes reached the terminal."""
    done = whyfirst("study", "run", "evil\x1b]0;owned\x07\u202e.yaml", "--json", cwd=tmp_path)
    assert done.returncode == 2
    assert "\x1b" not in done.stderr
    assert "\u202e" not in done.stderr
    assert "evil\\x1b]0;owned\\x07\\u202e.yaml: no such file" in done.stderr


def test_a_reader_that_stops_reading_is_no_error(tmp_path: Path) -> None:
    """`whyfirst list | head -1` ended in a BrokenPipeError traceback."""
    command = f"{sys.executable} -m whyfirst list --json | true"
    done = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, env=environment(), capture_output=True, text=True
    )
    assert done.stderr == ""


def test_characters_the_stream_cannot_hold_do_not_end_the_program(tmp_path: Path) -> None:
    """An ASCII terminal raised UnicodeEncodeError on a table's text."""
    done = whyfirst("study", "run", "é.yaml", cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert done.returncode == 2
    assert "\\xe9.yaml: no such file" in done.stderr


@pytest.mark.parametrize("arguments", [["list"], ["list", "stages"], ["env"]])
def test_json_is_one_object_and_nothing_else(arguments: list[str], tmp_path: Path) -> None:
    """A banner or a library's print made the output unreadable for programs."""
    done = whyfirst(*arguments, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert one_object(done.stdout)


def test_list_shows_what_ships(run_here: RunHere) -> None:
    """A benchmark or stage kind that exists was not listed."""
    code, out, _ = run_here("list", "--json")
    found = one_object(out)
    assert code == 0
    sections = [
        "benchmarks",
        "scorers",
        "judges",
        "rewards",
        "constitutions",
        "worlds",
        "studies",
        "stages",
    ]
    rooms = ["objectives", "edits", "surgeries", "decodings", "transforms", "selectors", "probes"]
    assert {*sections, *rooms, "templates", "gpus"} <= set(found)
    cut = next(row for row in found["objectives"] if row["name"] == "cut")
    assert cut["paper"] and "threshold: float = 1.1" in cut["options"]
    assert cut["example"] == "{name: cut}"
    assert {"preference", "truthfulqa", "hearth"} <= {row["name"] for row in found["benchmarks"]}
    stages = {row["name"]: row for row in found["stages"]}
    assert {"explain", "sft", "dpo", "reward", "ppo"} <= set(stages)
    judges = {row["name"]: row for row in found["scorers"]}
    assert judges["rules"]["asks_a_model"] == "no" and judges["harmless"]["asks_a_model"] == "yes"
    assert "reward_model" in {row["name"] for row in found["rewards"]}
    assert "hhh" in [row["name"] for row in found["constitutions"]]


def test_env_tells_versions_and_no_secrets(
    tmp_path: Path,
) -> None:
    """A bug report carried a token, a user's name or the machine's."""
    import getpass
    import socket

    done = whyfirst(
        "env", "--json", cwd=tmp_path,
        HF_TOKEN="hf_verysecret", OPENAI_API_KEY="sk-verysecret", WHYFIRST_STORE="/home/someone/s",
    )  # fmt: skip
    found = one_object(done.stdout)
    assert found["packages"]["whyfirst"] == package.__version__
    assert found["torch_build"]["version"]
    assert found["variables"]["OMP_NUM_THREADS"] == "1"
    for private in ("verysecret", "someone", str(Path.home()), str(tmp_path)):
        assert private not in done.stdout
    name = socket.gethostname()
    assert name not in [word.strip('",') for word in done.stdout.split()]
    if len(getpass.getuser()) > 4:
        assert getpass.getuser() not in done.stdout


def test_telemetry_of_libraries_is_off(tmp_path: Path) -> None:
    """The Hub's client reported usage because the switch was set after its import."""
    code = (
        "import os, sys\nfrom whyfirst.cli import main\n"
        "try:\n    main(['--offline', 'list', 'stages'])\nexcept SystemExit:\n    pass\n"
        "print(os.environ['HF_HUB_DISABLE_TELEMETRY'], os.environ['HF_HUB_OFFLINE'])\n"
    )
    kept = environment()
    for name in ("HF_HUB_DISABLE_TELEMETRY", "HF_HUB_OFFLINE"):
        kept.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=kept, cwd=tmp_path
    )
    assert done.stdout.splitlines()[-1] == "1 1"


@pytest.mark.parametrize(
    "arguments",
    [["list", "nope"], ["eval"], ["eval", "--bogus"], ["nothing"], ["study", "status", "nosuch"],
     ["card", "nope", "direct"], ["report", "nope"], ["plan", "nosuch"],
     ["values", "check", "nope"], ["explain", "write", "nope"],
     ["judge", "agreement", "--data", "nope"], ["watch", "nope"],
     ["probe", "a=nope"], ["list", "--plugin", "nofile.py"]],
)  # fmt: skip
def test_an_error_is_json_too_where_json_was_asked(run_here: RunHere, arguments: list[str]) -> None:
    """A program that reads `--json` got nothing on standard output, and had to read prose."""
    code, out, err = run_here(*arguments, "--json")
    assert code == 2
    told = one_object(out)["error"]
    assert told and told.split("\n")[0][:40] in err


def test_a_plugin_named_on_the_command_line_is_listed(run_here: RunHere, tmp_path: Path) -> None:
    """A method of one's own could only be used from an installed package."""
    (tmp_path / "mine.py").write_text(
        "from whyfirst.train.objectives import OBJECTIVES\n\n\n"
        "@OBJECTIVES.enter('mine_here', paper='none')\n"
        "def mine(scores, *, beta: float = 0.5):\n"
        '    """A line about it."""\n'
        "    return scores\n"
    )
    code, out, err = run_here("list", "objectives", "--plugin", str(tmp_path / "mine.py"))
    assert code == 0, err
    assert "mine_here\n  A line about it." in out
    assert "beta: float = 0.5" in out


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--constitution", "hhh", "--limit", "3"], "--limit: counts a world's requests"),
        (
            ["--constitution", "hhh", "--probes", "logit_difference", "--family", "care"],
            "--family: is of the probe `intervention`",
        ),
    ],
)
def test_an_option_that_no_probe_reads_is_taken(
    run_here: RunHere, given: list[str], said: str
) -> None:
    code, _, err = run_here("probe", "a=nope", *given)
    assert code == 2 and said in " ".join(err.split())


@pytest.mark.parametrize(
    ("number", "code", "told"), [(signal.SIGINT, 130, "stopped"), (signal.SIGTERM, 2, "Exit: 143")]
)
def test_a_signal_that_a_library_passes_over_stops_the_command(
    number: int, code: int, told: str, tmp_path: Path
) -> None:
    """A Ctrl-C inside a finaliser was dropped with a traceback, and the command went on."""
    plugin = tmp_path / "finaliser.py"
    plugin.write_text(
        "import os, signal, sys, time\n\n\n"
        "class Closing:\n"
        "    def __del__(self):\n"
        f"        os.kill(os.getpid(), {number})\n"
        "        time.sleep(0.1)\n\n\n"
        "signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))\n"
        "Closing()\n"
        "time.sleep(5)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "whyfirst", "list", "worlds", "--plugin", str(plugin)],
        capture_output=True, text=True, env=environment(), cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    assert told in done.stderr and "Traceback" not in done.stderr
