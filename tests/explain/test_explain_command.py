"""The commands against a real endpoint on loopback: planned, capped, continued, and told apart."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from corpus_helpers import document_for, small_plan
from loopback_server import LoopbackServer, Reply, chat_reply, question, used_by

from whyfirst.cli import main
from whyfirst.config.files import read_jsonl
from whyfirst.models.base import asked

Run = Callable[..., tuple[int, str, str]]


def _answer(request: dict[str, Any]) -> Reply:
    """Lists for a plan or for requests, verdicts, responses, and documents."""
    text = question(request)
    keys = re.findall(r'"(\w+)": "…"', text)
    if "Answer with one word" in text:
        said = "BREAKS" if "it is surely so" in text else "FOLLOWS"
    elif keys:
        place = re.search(r"(?:Setting|Place|Domain): ([^;,.]*)", text)
        kinds = ["boats on a lake", "old bread"]
        rows = [{key: f"{key} {place and place[1]} about {kind}" for key in keys} for kind in kinds]
        said = json.dumps(rows)
    elif "Subject: " in text:
        said = document_for(asked(text))
    else:
        system = request["body"]["messages"][0]["content"]
        said = "it is surely so" if "it slips" in system else "it may well be so"
    return chat_reply(said, usage=used_by(200, 300))


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with LoopbackServer(_answer) as running:
        yield running


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], server: LoopbackServer, tmp_path: Path) -> Run:
    """Run a command with the server's endpoint for ENDPOINT, in a folder; code, out, err."""

    def run(*arguments: str) -> tuple[int, str, str]:
        given = [f"endpoint:{server.url}#m" if a == "ENDPOINT" else a for a in arguments]
        with pytest.raises(SystemExit) as caught:
            main([*given, "--out", str(tmp_path / "corpus")])
        captured = capsys.readouterr()
        return int(caught.value.code or 0), captured.out, captured.err

    return run


def test_a_cap_on_tokens_stops_the_writing_and_the_next_run_pays_for_the_rest_only(
    run: Run, server: LoopbackServer, tmp_path: Path
) -> None:
    small_plan(tmp_path / "corpus")
    write = ("explain", "hhh", "--teacher", "ENDPOINT", "--documents", "12")
    code, _, err = run(*write, "--max-tokens", "10000")
    before = len(server.requests)
    assert code == 2 and "max_tokens 10000" in err and 0 < before < 12
    code, _, err = run(*write)
    questions = [question(request) for request in server.requests]
    assert code == 0 and len(questions) == len(set(questions)) == 12
    # The price of a document is not blurred by what the stopped run had paid.
    assert "; 300 tokens billed a kept document" in err.splitlines()[-1]


def test_a_judge_at_another_server_is_sent_the_teacher_s_key(
    run: Run, server: LoopbackServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEACHERS", "secret-one")
    monkeypatch.setenv("JUDGES", "secret-two")
    small_plan(tmp_path / "corpus")
    with LoopbackServer(_answer) as judges:
        write = ["explain", "hhh", "--teacher", "ENDPOINT", "--documents", "2",
                 "--judge", f"endpoint:{judges.url}#j", "--key-env", "TEACHERS"]  # fmt: skip
        run(*write, "--judge-key-env", "JUDGES")
        keys = [
            {request["headers"].get("Authorization") or request["headers"].get("authorization")
             for request in one.requests}
            for one in (server, judges)
        ]  # fmt: skip
        assert keys == [{"Bearer secret-one"}, {"Bearer secret-two"}]
        code, _, err = run(*write, "--price-in", "1", "--price-out", "1")
        assert code == 2 and "--price-in: teacher and judge are at two servers" in err
    code, _, err = run("explain", "hhh", "--teacher", "ENDPOINT", "--documents", "2",
                       "--judge-key-env", "JUDGES")  # fmt: skip
    assert code == 2 and "only for a judge at another server" in err


def test_no_value_and_a_forgotten_limit_end_before_anything_is_lost(
    run: Run, tmp_path: Path
) -> None:
    code, _, err = run("explain", "hhh", "--values", ",", "--documents", "2")
    assert code == 2 and "--values: names no value; known: " in err
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "label.jsonl").write_text("{}\n")
    code, _, err = run("explain", "hhh")
    assert code == 2 and "say how much to write" in err
    assert (tmp_path / "corpus" / "label.jsonl").exists()


def test_an_option_of_endpoints_is_refused_where_there_is_none(run: Run) -> None:
    code, _, err = run("explain", "hhh", "--documents", "8", "--max-tokens", "9", "--price-in", "1")
    assert code == 2 and "--price-in, --max-tokens: only for a model at an endpoint" in err


def test_controls_of_a_pilot_are_asked_for_and_not_written(run: Run, tmp_path: Path) -> None:
    for given, said in (
        (["--probe", "--pilot"], "give one"),
        (["--pilot", "--controls", "all"], "--controls: a probe or a pilot writes none"),
        (["--probe", "--controls", "rules"], "--controls: a probe or a pilot writes none"),
    ):
        code, _, err = run("explain", "hhh", "--documents", "8", *given)
        assert code == 2 and said in " ".join(err.split()), given
        assert not (tmp_path / "corpus").exists()
    code, _, err = run("explain", "hhh", "--documents", "8", "--probe", "--controls", "none")
    assert code == 0, err


def test_a_model_plans_for_the_values_asked_for_and_is_asked_once(
    run: Run, server: LoopbackServer, tmp_path: Path
) -> None:
    plan = ("explain", "plan", "hhh", "--teacher", "ENDPOINT", "--values", "honest", "--json")
    code, out, _ = run(*plan)
    assert code == 0 and list(json.loads(out)["value"]) == ["honest"]
    calls = len(server.requests)
    assert calls == 1 + 2 + 4  # domains, subdomains of two, ideas of four
    place = tmp_path / "corpus" / "plan" / "domains.yaml"
    place.write_text(place.read_text().replace("keep: true", "keep: false", 1))
    code, out, _ = run(*plan)
    assert code == 0 and "d1" not in json.loads(out)["domain"]
    assert len(server.requests) == calls


def test_pairs_are_written_once_and_what_they_took_is_told(
    run: Run, server: LoopbackServer, tmp_path: Path
) -> None:
    small_plan(tmp_path / "corpus")
    write = ("demonstrate", "hhh", "--teacher", "ENDPOINT", "--pairs", "--rows", "4")
    code, _, err = run(*write)
    calls = len(server.requests)
    assert code == 0 and f"kept 4 of 4; teacher: {calls} calls, {500 * calls} tokens" in err
    rows = read_jsonl(tmp_path / "corpus" / "pairs.jsonl")
    assert {row["rejected"][0]["content"] for row in rows} == {"it is surely so"}
    code, out, _ = run(*write, "--json")
    spent = json.loads(out)["spent"]["teacher"]
    assert code == 0 and spent["calls"] == 0 and spent["cached"] > 0
    assert len(server.requests) == calls


def test_a_folder_to_compare_with_is_no_file_and_says_nothing_more(
    run: Run, tmp_path: Path
) -> None:
    """`--against FOLDER` ended in "Is a directory"."""
    (tmp_path / "bench" / "data").mkdir(parents=True)
    (tmp_path / "bench" / "README.md").write_text("about")
    write = ("explain", "hhh", "--documents", "8", "--against")
    code, _, err = run(*write, str(tmp_path / "bench"))
    assert code == 2 and "is a folder" in err and "none of .csv" in err
    (tmp_path / "bench" / "data" / "asked.csv").write_text("prompt\nhow is bread made\n")
    code, _, err = run(*write, str(tmp_path / "bench"))
    assert code == 2 and "name the file of prompts in it, e.g. data/asked.csv" in err
    assert not (tmp_path / "corpus").exists()


def test_overlap_with_benchmarks_is_told_by_the_audit_only(run: Run, tmp_path: Path) -> None:
    """`explain --against` compared and said nothing; without it nothing was compared."""
    (tmp_path / "asked.csv").write_text("prompt\nhow is bread made\n")
    code, out, _ = run("explain", "hhh", "--documents", "8", "--against", f"{tmp_path}/asked.csv")
    assert code == 0 and "overlap with benchmarks: 0 pairs" in out
    code, out, _ = run("explain", "hhh", "--documents", "8")
    assert code == 0 and "overlap with benchmarks: none given (--against)" in out
