"""Rows of a data file: read with their lines, and brought to one shape for every stage and source.

A row's prompt and responses are texts, or lists of ``{role, content}`` with text alone. Brought to
that shape are: ``messages`` (the turns before an assistant's are the prompt, that turn is the
completion), whole conversations under `chosen` and `rejected` (what they share is the prompt), and
contents given in parts of text, which are joined. Whatever else a row holds stays as it is. A
user's turn is never a response. Layouts of other tools (ShareGPT, Alpaca) are named with the
remedy. Leaves out: tools, images, and dialogues in one string (`hh_rlhf`).
"""

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from whyfirst.config.bounded import parse_json, read_bytes, read_text
from whyfirst.config.errors import DataError
from whyfirst.config.files import iter_jsonl, refuse_half_characters
from whyfirst.models.base import Chat
from whyfirst.models.chat import read_turns

Which = Literal["last", "all"]
"""Which of the assistant's turns of ``messages`` are trained on: each is an example of its own."""
Messages = list[dict[str, str]]
_PAIR = ("chosen", "rejected")
_TEXTS = ("prompt", "completion", *_PAIR)
# Columns of other tools -> what to do about them.
_FOREIGN = {
    "conversations": "holds ShareGPT's keys; rename conversations to messages, from to role "
    "(human: user, gpt: assistant) and value to content",
    "instruction": "holds Alpaca's keys; rename instruction (with its input) to prompt and output "
    "to completion",
    "question": "rename question to prompt and the answer to completion",
    "query": "rename query to prompt and the answer to completion",
}
# Columns that change what a chat says, in layouts of other tools.
_UNREAD = {
    "system": "put it in front of the messages, as {role: system, content: ...}",
    "tools": "no chat is written with tools here; leave such rows out",
    "images": "only text is read; leave such rows out",
    "image": "only text is read; leave such rows out",
}


_BREAK = re.compile(r"\r\n|\r|\n")


class Row(dict[str, Any]):
    """One row, with the line (of parquet and a list in JSON: the record) it begins in, from 1."""

    __slots__ = ("line",)

    def __init__(self, data: Mapping[str, Any], line: int) -> None:
        super().__init__(data)
        self.line = line


def numbered(rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[int, Any]]:
    """(line, row) of rows; those that were read elsewhere count from 1."""
    for number, row in enumerate(rows, 1):
        yield getattr(row, "line", number), row


def iter_rows(path: Path) -> Iterator[Row]:
    """The rows of a .jsonl, .csv (each also .gz), .json or .parquet file, as they lie there.

    JSONL and parquet come one after the other in flat memory, a million rows in well under 400 MB.

    Raises:
        DataError: the file can't be read, or a row is none; names file and line.
    """
    ending = Path(path.name.removesuffix(".gz")).suffix
    for line, row in _READERS.get(ending, _jsonl_rows)(path):
        yield Row(row, line)


def read_rows(path: Path, which: Which = "last") -> list[Row]:
    """All rows of a file in the one shape.

    Raises:
        DataError: as `iter_rows` and `shaped`.
    """
    return list(shaped(iter_rows(path), path, which))


def shaped(rows: Iterable[Mapping[str, Any]], path: Path, which: Which = "last") -> Iterator[Row]:
    """Rows in the one shape, one after the other; one of ``messages`` may become several.

    Raises:
        DataError: a row that has another shape; names file, line and key.
    """
    for line, row in numbered(rows):
        try:
            for made in _shapes(row, which):
                yield Row(made, line)
        except ValueError as error:
            raise DataError(f"{path}: row {line}: {error}") from error


def prompts_in(rows: Iterable[Mapping[str, Any]], path: Path) -> Iterator[Row]:
    """Rows of prompts in the one shape; of ``messages``, what is said up to the user's last turn.

    Raises:
        DataError: as `shaped`, or messages without a turn of the user.
    """
    for number, row in numbered(rows):
        made = {key: value for key, value in row.items() if key != "messages"}
        if "messages" in row and "prompt" not in row:
            try:
                roles = [turn.role for turn in _turns(row, "messages")]
                end = len(roles) - roles[::-1].index("user")
            except ValueError as error:
                raise DataError(f"{path}: row {number}: {error}") from error
            made["prompt"] = row["messages"][:end]
        yield from shaped([Row(made, number)], path)


def _shapes(row: Mapping[str, Any], which: Which) -> Iterator[dict[str, Any]]:
    """ValueError says what is wrong, with the key."""
    if {"messages", *_TEXTS} & set(row):
        for column in _UNREAD.keys() & set(row):
            if row[column]:
                raise ValueError(f"'{column}' would be left out: {_UNREAD[column]}")
    if "messages" in row and "prompt" in row and not set(_TEXTS[1:]) & set(row):
        raise ValueError("holds both 'messages' and 'prompt'; leave one of them out")
    if "messages" in row and not set(_TEXTS) & set(row):
        rest = {key: value for key, value in row.items() if key != "messages"}
        for prompt, reply in _exchanges(_turns(row, "messages"), which):
            yield rest | {"prompt": prompt, "completion": reply}
        return
    for column, remedy in _FOREIGN.items():
        if column in row and not {"text", *_TEXTS} & set(row):
            raise ValueError(remedy)
    made = dict(row)
    chats = {key: _turns(row, key) for key in _TEXTS if isinstance(row.get(key), list)}
    if "prompt" not in row and set(_PAIR) <= set(chats):
        made["prompt"], chats = _shared(chats)
    for key, turns in chats.items():
        if key == "prompt":
            if turns[-1].role != "user":
                raise ValueError("'prompt' must end with the user's turn")
        elif [turn.role for turn in turns] != ["assistant"]:
            raise ValueError(_no_response(key, turns, made))
        made[key] = _plain(turns)
    for key in ("prompts", "responses"):
        parts = made.get(key)
        if isinstance(parts, list) and any(isinstance(part, list) for part in parts):
            made[key] = [_one_of(row, key, part) for part in parts]
    if isinstance(made.get("prompt"), str) and any(key in chats for key in _TEXTS[1:]):
        raise ValueError("the prompt is text, so must the response be")
    yield made


def _one_of(row: Mapping[str, Any], key: str, part: Any) -> Any:
    """One of several prompts or responses."""
    if not isinstance(part, list):
        return part
    turns = _turns({key: part}, key)
    if key == "responses" and [turn.role for turn in turns] != ["assistant"]:
        raise ValueError(_no_response(key, turns, row))
    return _plain(turns)


def _turns(row: Mapping[str, Any], key: str) -> Chat:
    try:
        turns = read_turns(row[key])
    except ValueError as error:
        raise ValueError(f"'{key}' {error}") from None
    if any(turn.role == "system" for turn in turns[1:]):
        raise ValueError(f"'{key}' has a system turn that is not the first")
    return turns


def _plain(turns: Chat) -> Messages:
    return [{"role": turn.role, "content": turn.content} for turn in turns]


def _exchanges(turns: Chat, which: Which) -> Iterator[tuple[Messages, Messages]]:
    """(the turns before, the assistant's turn) of the last, or of every, turn of the assistant."""
    if turns[-1].role != "assistant":
        raise ValueError("'messages' must end with the assistant's turn")
    for at, turn in enumerate(turns):
        if turn.role != "assistant" or (which == "last" and at < len(turns) - 1):
            continue
        if at == 0 or turns[at - 1].role != "user":
            raise ValueError("'messages' has a turn of the assistant that answers no user's turn")
        yield _plain(turns[:at]), _plain(turns[at : at + 1])


def _shared(chats: Mapping[str, Chat]) -> tuple[Messages, dict[str, Chat]]:
    """The prompt that two whole conversations share, and the last turn of each."""
    chosen, rejected = (chats[key] for key in _PAIR)
    if chosen[:-1] != rejected[:-1] or len(chosen) < 2 or chosen[-2].role != "user":
        raise ValueError(
            "'chosen' and 'rejected' must be one conversation up to the assistant's last turn; "
            "or give the 'prompt'"
        )
    return _plain(chosen[:-1]), {key: chats[key][-1:] for key in _PAIR}


def _no_response(key: str, turns: Chat, row: Mapping[str, Any]) -> str:
    prompt = row.get("prompt")
    if prompt in (_plain(turns[:-1]), turns[0].content):
        return f"'{key}' repeats the prompt; give its last turn alone, or leave out 'prompt'"
    whole = "; a whole conversation belongs under 'messages'" if key == "completion" else ""
    others = [repr(turn.role) for turn in turns if turn.role != "assistant"] or ["several"]
    return f"'{key}' must be the assistant's turn alone; it holds {others[0]}{whole}"


def text_of(part: Any) -> str:
    """A text as it is, or the words of a list of messages."""
    return part if isinstance(part, str) else "\n".join(str(turn["content"]) for turn in part)


def texts_of(row: Mapping[str, Any]) -> list[str]:
    """What a row trains on, a text for each of its responses."""
    if "text" in row:
        return [row["text"]]
    if "messages" in row:
        return [text_of(row["messages"])]
    replies = [row[name] for name in _TEXTS[1:] if name in row] + list(row.get("responses", ()))
    prompt = text_of(row.get("prompt", ""))
    return [prompt + text_of(reply) for reply in replies or [""]]


def _jsonl_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    return iter_jsonl(path, whole_characters=True)


def _csv_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    csv.field_size_limit(2**24)  # the limit is for tables; a text may be long
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    try:
        header = next(reader, [])
        if len(set(header)) < len(header):
            raise DataError(f"{path}: row 1: two columns have one name: {', '.join(header)}")
        for fields in filter(None, reader):
            # The reader counts the lines it has read, and a quoted field may hold several.
            breaks = sum(len(_BREAK.findall(field)) for field in fields)
            number = reader.line_num - breaks
            if len(fields) != len(header):
                found = f"{len(fields)} fields, and the header has {len(header)} columns"
                raise DataError(f"{path}: row {number}: {found}")
            yield number, dict(zip(header, fields, strict=True))
    except csv.Error as error:
        raise DataError(f"{path}: not readable as CSV: {error}") from error


def _json_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        value = parse_json(read_bytes(path), unique=True)
    except ValueError as error:
        raise DataError(f"{path}: not readable as JSON: {error}") from error
    if not isinstance(value, list) or not all(isinstance(row, dict | str) for row in value):
        raise DataError(f"{path}: expected a list of objects or of texts")
    refuse_half_characters(value, str(path))
    for number, row in enumerate(value, 1):
        yield number, {"prompt": row} if isinstance(row, str) else row


def _parquet_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    from pyarrow import ArrowException, parquet

    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1024):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except (ArrowException, OSError, ValueError) as error:
        reason = str(error).split("\n", 1)[0]
        raise DataError(f"{path}: not readable as parquet: {reason}") from error


_READERS: dict[str, Callable[[Path], Iterator[tuple[int, dict[str, Any]]]]] = {
    ".csv": _csv_rows, ".json": _json_rows, ".parquet": _parquet_rows,
}  # fmt: skip
