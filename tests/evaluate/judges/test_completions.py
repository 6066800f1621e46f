"""Labelled completions: reading the published files, the table, and the command."""

import csv
import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
import typer.testing
from loopback_server import LoopbackServer, chat_reply, question

from whyfirst.cli.judging import judge_app
from whyfirst.config.errors import DataError
from whyfirst.evaluate.completions import (
    HELD_OUT,
    agreement_rows,
    card_of,
    completion_files,
    read_completions,
)
from whyfirst.evaluate.correction import AgreementCard
from whyfirst.evaluate.item import Item
from whyfirst.evaluate.scorers import Scorer
from whyfirst.evaluate.verdict import Verdict, passed, unscored

HEADER = ["id", "type", "prompt", "completion", "annotation_1", "annotation_2", "agreement",
          "final_label"]  # fmt: skip
NO, FULL, PARTIAL = "1_full_compliance", "2_full_refusal", "3_partial_refusal"
REFUSAL, ANSWER = "I'm sorry, but I can't help with that.", "Fold the sheet in half."


def write(folder: Path, name: str, rows: Sequence[tuple[str, str, str, str]]) -> Path:
    """Rows of (completion, first, second, final)."""
    path = folder / f"xstest_v2_completions_{name}.csv"
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(HEADER)
        for at, (text, first, second, final) in enumerate(rows):
            writer.writerow([f"v2-{at}", "definitions", "A question?", text, first, second,
                             str(first == second).upper(), final])  # fmt: skip
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "one", [
        (REFUSAL, FULL, FULL, FULL), (REFUSAL, PARTIAL, FULL, PARTIAL), (ANSWER, NO, NO, NO),
        (ANSWER, NO, PARTIAL, NO), ("", FULL, FULL, FULL),
    ])  # fmt: skip
    write(tmp_path, "two", [(ANSWER, FULL, FULL, FULL), (ANSWER, NO, NO, NO)])
    return tmp_path


class Fixed(Scorer):
    """A judge tuned on file "two": refusal is the refusal above."""

    name, version, question = "fixed", "1", "refused"
    tuned_on = ("xstest_v2_completions_two",)

    def read(self, items: Sequence[Item], responses: Sequence[str]) -> list[Verdict]:
        return [passed(text == REFUSAL) if text else unscored("empty") for text in responses]


def test_rows_by_file_and_reading(folder: Path) -> None:
    rows = agreement_rows(Fixed(), completion_files(folder))
    by_name = {(row.name, row.reading): row for row in rows}
    assert len(by_name) == 6
    either = by_name["one", "full or partial"]
    assert tuple(either.final.confusion) == (2, 0, 0, 2) and either.final.unscored == 1
    assert either.reasons == {"empty": 1}
    assert tuple(by_name["one", "full only"].final.confusion) == (1, 1, 0, 2)
    assert by_name["two", "full only"].tuned and not either.tuned
    assert by_name[HELD_OUT, "full or partial"].final == either.final
    # Against the second person the fourth completion is a refusal that was missed.
    assert either.first is not None and either.first.value == 1.0
    assert either.second is not None and either.second.value == 0.5


def test_the_card_counts_what_was_held_out(folder: Path) -> None:
    files = completion_files(folder)
    card = card_of(Fixed(), agreement_rows(Fixed(), files), files)
    assert card.files == ("xstest_v2_completions_one.csv",)
    assert (card.true_pass, card.true_fail, card.unscored) == (2, 2, 1)
    with pytest.raises(DataError, match="tuned on every file"):
        only = [path for path in files if path.stem.endswith("two")]
        card_of(Fixed(), agreement_rows(Fixed(), only), only)


def test_a_judge_of_another_question_is_refused(folder: Path) -> None:
    judge = Fixed()
    judge.question = "harmless"
    with pytest.raises(DataError, match="asks 'harmless'"):
        agreement_rows(judge, completion_files(folder))


def test_unreadable_files_name_their_row(tmp_path: Path) -> None:
    path = write(tmp_path, "bad", [(ANSWER, NO, NO, NO), (ANSWER, NO, "maybe", NO)])
    with pytest.raises(DataError, match="row 3: label 'maybe' is none of 1_full_compliance"):
        read_completions(path)
    path.write_text("id,prompt\n1,2\n")
    with pytest.raises(DataError, match="column 'completion' is missing"):
        read_completions(path)
    with pytest.raises(DataError, match="no xstest_v2_completions_"):
        completion_files(tmp_path / "nowhere")


def test_the_command_prints_a_table_and_one_object(folder: Path) -> None:
    run = typer.testing.CliRunner().invoke
    shown = run(judge_app, ["agreement", "--data", str(folder)])
    assert shown.exit_code == 0 and "refused = full or partial refusal" in shown.output
    assert "held out" in shown.output and "2 unscored: empty response" not in shown.output
    assert "1 unscored: empty response" in shown.output
    assert REFUSAL not in shown.output
    printed = run(judge_app, ["agreement", "--data", str(folder), "--json",
                              "--card", str(folder / "card.json")])  # fmt: skip
    assert json.loads(printed.stdout)["judge"] == "rules"
    assert AgreementCard.load(folder / "card.json").judge == "rules"


def test_a_model_judge_behind_an_endpoint_shows_its_parse_rate(folder: Path) -> None:
    def serve(request: dict[str, object]) -> object:
        text = question(request)
        key = re.findall(r"\[end of response (\w{8})\]", text)[-1]
        if REFUSAL in text:
            return chat_reply(f"It says no.\n{key} refused=1 convincing=1 specific=1")
        return chat_reply("A fine answer.")

    with LoopbackServer(serve) as server:
        asked = ["--judge", "rubric", "--model", f"endpoint:{server.url}#m", "--json"]
        done = typer.testing.CliRunner().invoke(
            judge_app, ["agreement", "--data", str(folder), *asked]
        )
    rows = {row["completions"]: row for row in json.loads(done.stdout)["rows"][:2]}
    assert rows["one"]["parse_rate"] == 0.5 and rows["two"]["parse_rate"] == 0.0
    assert rows["one"]["reasons"] == {"judge reply not parsable": 2, "empty response": 1}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--judge", "rubric"], "needs a model"),
        (["--judge", "ruels"], "did you mean 'rules'"),
        (["--judge", "rubric", "--model", "endpoint:http://127.0.0.1:9/v1"], "endpoint:URL#MODEL"),
    ],
)
def test_a_mistake_is_one_message_and_exit_2(
    folder: Path, arguments: list[str], message: str
) -> None:
    done = typer.testing.CliRunner().invoke(
        judge_app, ["agreement", "--data", str(folder), *arguments]
    )
    assert done.exit_code == 2 and message in done.stderr and "Traceback" not in done.stderr
