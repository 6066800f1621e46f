"""Rows in one shape: messages, pairs of conversations, and everything else refused by line."""

import json
from pathlib import Path
from typing import Any

import pytest

from whyfirst.config.errors import DataError
from whyfirst.data.checks import check_rows, columns_of
from whyfirst.data.leaks import find_leaks
from whyfirst.data.rows import Row, iter_rows, parts_of, read_rows, shaped, texts_of


def _user(text: Any) -> dict[str, Any]:
    return {"role": "user", "content": text}


def _says(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


TALK = [{"role": "system", "content": "s"}, _user("q1"), _says("a1"), _user("q2"), _says("a2")]


def _file(folder: Path, *rows: Any) -> Path:
    path = folder / "x.jsonl"
    path.write_text("\n\n".join(json.dumps(row) for row in rows) + "\n")
    return path


def test_messages_are_a_prompt_and_the_last_turn_or_each_turn(tmp_path: Path) -> None:
    path = _file(tmp_path, {"messages": TALK, "id": 7})
    assert read_rows(path) == [{"id": 7, "prompt": TALK[:4], "completion": TALK[4:]}]
    assert read_rows(path, "all") == [
        {"id": 7, "prompt": TALK[:2], "completion": TALK[2:3]},
        {"id": 7, "prompt": TALK[:4], "completion": TALK[4:]},
    ]


def test_parts_of_text_are_joined_and_text_rows_stay_as_they_are(tmp_path: Path) -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    rows = [{"prompt": [_user(parts)], "completion": "c"}, {"prompt": "p", "completion": " c"}]
    read = read_rows(_file(tmp_path, *rows))
    assert read == [{"prompt": [_user("ab")], "completion": "c"}, rows[1]]
    assert [row.line for row in read] == [1, 3]


def test_two_conversations_share_their_prompt() -> None:
    pair = {"chosen": [_user("q"), _says("good")], "rejected": [_user("q"), _says("bad")]}
    [row] = shaped([pair], Path("x"))
    assert row == {"prompt": [_user("q")], "chosen": [_says("good")], "rejected": [_says("bad")]}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"messages": TALK[:4]}, "'messages' must end with the assistant's turn"),
        ({"messages": [_says("a")]}, "answers no user's turn"),
        ({"messages": [_user("q"), TALK[0], _says("a")]}, "a system turn that is not the first"),
        ({"conversations": [{"from": "human", "value": "q"}]}, "rename conversations to messages"),
        ({"instruction": "q", "output": "a"}, "rename instruction"),
        ({"prompt": [_user("q")], "completion": TALK[2:]}, "'completion' must be"),
        ({"prompt": [_user("q"), _says("a")], "completion": "b"}, "end with the user's turn"),
        ({"prompt": [_user("q")], "chosen": [_user("q"), _says("a")], "rejected": "b"},
         "'chosen' repeats the prompt"),
        ({"chosen": [_user("q"), _says("a")], "rejected": [_user("z"), _says("a")]},
         "must be one conversation"),
        ({"prompt": [_user(None)], "completion": "a"}, "content must be text; found NoneType"),
        ({"prompt": "q", "completion": [_says("a")]}, "the prompt is text, so must the response"),
        ({"prompt": [_user("q")], "responses": [[_user("z")], [_says("a")]]},
         "'responses' must be the assistant's turn alone; it holds 'user'"),
    ],
)  # fmt: skip
def test_another_shape_is_trained_on_as_something_else(
    tmp_path: Path, row: dict[str, Any], said: str
) -> None:
    path = _file(tmp_path, {"prompt": "p", "completion": "c"}, row)
    with pytest.raises(DataError, match=rf"x\.jsonl: row 3: .*{said}"):
        read_rows(path)


@pytest.mark.parametrize("ending", ["csv", "json", "parquet"])
def test_other_files_give_the_same_rows(tmp_path: Path, ending: str) -> None:
    rows = [{"prompt": "a, b", "completion": "c\nd"}, {"prompt": "é", "completion": "f"}]
    path = tmp_path / f"x.{ending}"
    if ending == "csv":
        path.write_text('\ufeffprompt,completion\n"a, b","c\nd"\né,f\n', encoding="utf-8")
    elif ending == "json":
        path.write_text(json.dumps(rows))
    else:
        import pyarrow
        from pyarrow import parquet

        parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    assert list(iter_rows(path)) == rows
    path.write_bytes(b"\xff\xfe{")
    with pytest.raises(DataError, match=rf"x\.{ending}: "):
        list(iter_rows(path))


def _found(rows: list[dict[str, Any]], tokenizer: Any = None) -> dict[str, tuple[str, str]]:
    made = [Row(row, 10 * number) for number, row in enumerate(rows, 1)]
    found = check_rows(made, columns_of(made[0]), tokenizer)
    return {f.check: (f.level, f.message) for f in found}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"prompt": "a", "prompt": "b", "completion": "c"}', "the key 'prompt' stands twice"),
        ('{"prompt": "a", "completion": "c", "score": NaN}', "NaN is not JSON"),
        ('{"prompt": "a", "completion": "c", "score": 1e999}', "too large"),
        ('{"prompt": "a", "completion": "c", "system": "Be brief."}', "'system' would be left out"),
        ('{"prompt": "a", "completion": "c", "tools": [{}]}', "'tools' would be left out"),
        ('{"prompt": "a", "completion": "c", "images": ["x.png"]}', "only text is read"),
        ('{"messages": [], "prompt": "a"}', "both 'messages' and 'prompt'"),
    ],
)
def test_what_a_row_says_twice_or_beside_its_text_is_left_out(
    line: str, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"prompt": "a", "completion": "b", "tools": []}\r\n\r\n' + line)
    with pytest.raises(DataError, match=f"x.jsonl: row 3: .*{said}"):
        read_rows(path)


@pytest.mark.parametrize(
    ("turn", "said"),
    [
        ({"role": "human", "content": "q"}, r"found 'human' \(write user\)"),
        (_says("a") | {"tool_calls": [{}]}, "'tool_calls' would be left out"),
        (_says("a") | {"reasoning_content": "hm"}, "'reasoning_content' would be left out"),
        (_says("bad") | {"weight": 0}, "not to be trained on"),
        (_user([{"type": "text", "text": "q"}, {"type": "image"}]), "content must be text"),
    ],
)
def test_what_stands_beside_a_turns_content_is_left_out(turn: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=f"row 1: 'messages' message 2: .*{said}"):
        list(shaped([{"messages": [_user("q"), turn, _user("r"), _says("b")]}], Path("x")))
    plain = {"weight": 1, "tool_calls": None, "id": 7}
    assert list(shaped([{"messages": [_user("q"), _says("b") | plain]}], Path("x")))


def test_a_row_of_a_table_is_named_by_another_line(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(b'\xef\xbb\xbfprompt,completion\r\n\r\na,b\r\n\r\nc,"d\r\n\r\ne"\r\nf,g\r\n')
    assert [row.line for row in iter_rows(path)] == [3, 5, 8]
    for text, said in (
        ("prompt,prompt\na,b\n", "row 1: two columns have one name"),
        ("prompt,completion\n\na\n", "row 3: 1 fields, and the header has 2 columns"),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=said):
            read_rows(path)


def test_rows_that_teach_something_else_pass() -> None:
    asked = "Why does the kettle sing?"
    good = {"prompt": asked, "chosen": "It boils.", "rejected": "No idea."}
    assert {level for level, _ in _found([good]).values()} == {"ok"}
    for change, check, level in (
        ({"chosen": " "}, "empty responses", "refuse"),
        ({"chosen": "No idea. "}, "chosen == rejected", "refuse"),
        ({"chosen": f"{asked} It boils."}, "prompt in response", "refuse"),
        ({"chosen": "It boils.\n\nHuman: thanks"}, "one turn", "refuse"),
    ):
        said = _found([{**good, "prompt": "Another question?"}, good | change])[check]
        assert said[0] == level and "rows 20" in said[1], check
    rows = [{**good, "prompt": f"question number {i}"} for i in range(9)]
    one = {**good, "chosen": f"{asked} you ask."}
    assert _found([*rows, one])["prompt in response"][0] == "warn"


def test_texts_of_every_shape() -> None:
    assert texts_of({"text": "a"}) == ["a"]
    assert texts_of({"messages": TALK}) == ["s\nq1\na1\nq2\na2"]
    assert texts_of({"prompt": "p", "chosen": "c", "rejected": "r"}) == ["pc", "pr"]
    assert texts_of({"prompt": [_user("p")]}) == ["p"]
    assert texts_of({"prompts": ["p", "q"], "responses": ["a", "b"]}) == ["pa", "qb"]
    assert texts_of({"prompt": "p", "responses": ["a", "b"]}) == ["pa", "pb"]


def test_a_null_column_ends_with_a_traceback() -> None:
    """A reader lets through a column that another row fills."""
    row = {"prompt": "p", "completion": "a", "chosen": None, "rejected": None, "responses": None}
    assert texts_of(row) == ["pa"] and parts_of(row) == ["pa", "p"]
    assert texts_of({"prompt": None, "completion": "a"}) == ["a"]


def test_a_short_prompt_is_hidden_by_its_response() -> None:
    """A prompt of under twenty letters is only repeated by a whole text; prompts of `prompts` and
    the turns of a dialogue were no texts of their own, and those of `prompts` none at all."""
    rows = [
        {"prompt": "Who are you?", "completion": " A model."},
        {"prompts": ["Who are you?", "q"], "responses": ["a", "b"], "labels": [1, 0]},
        {"prompt": [_user("Who are you?"), {"role": "assistant", "content": "I"}, _user("So?")]},
        {"messages": [_user("Who are you?"), {"role": "assistant", "content": "A model."}]},
        {"prompt": "\n\nHuman: Who are you?\n\nAssistant:", "completion": " A model."},
        {"chosen": "\n\nHuman: Who are you?\n\nAssistant: A model.", "rejected": "x"},
        {"text": "\n\nHuman: Who are you?\n\nAssistant: A model."},
    ]
    for row in rows:
        assert find_leaks(parts_of(row), ["who are you"]), row
    assert not any(find_leaks(texts_of(row), ["who are you"]) for row in rows)


@pytest.mark.parametrize(
    "row", ['{"text": null}', '{"text": 3}', '{"prompt": 1, "completion": "x"}']
)
def test_what_is_no_text_is_trained_on(row: str, tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_text(f"{row}\n")
    with pytest.raises(DataError, match=r"row 1: '(text|prompt)' must be text"):
        read_rows(tmp_path / "r.jsonl")
