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
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal

from whyfirst.config.bounded import parse_json, read_bytes, read_text
from whyfirst.config.errors import DataError
from whyfirst.config.files import iter_jsonl, refuse_half_characters
from whyfirst.models.base import Chat
from whyfirst.models.chat import read_turns
from whyfirst.models.folder import reason

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
_CHATS = ("messages", "prompt", *_PAIR)
NEXT_TURN = re.compile(r"\n\n(?:Human|Assistant):")
"""Between the turns of a dialogue in one text: HH-RLHF's marks."""


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
    read = _READERS.get(ending)
    found = iter_jsonl(path, whole_characters=True) if read is None else read(path)
    for line, row in found:
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
            # What comes after the user's last turn is somebody else's answer.
            made["prompt"] = row["messages"][:end]
        yield from shaped([Row(made, number)], path)


def _shapes(row: Mapping[str, Any], which: Which) -> Iterator[dict[str, Any]]:
    """ValueError says what is wrong, with the key."""
    for key in ("text", *_TEXTS):
        # A column that another row fills is null here; a document without its text is none.
        kinds: tuple[type, ...] = (str,) if key == "text" else (str, list, type(None))
        if not isinstance(row.get(key, ""), kinds):
            raise ValueError(f"'{key}' must be text, found {type(row[key]).__name__}")
    if {"messages", *_TEXTS} & set(row):
        for column in _UNREAD.keys() & set(row):
            if row[column]:
                raise ValueError(f"'{column}' would be left out: {_UNREAD[column]}")
    if "messages" in row and "prompt" in row and not set(_TEXTS[1:]) & set(row):
        raise ValueError("holds both 'messages' and 'prompt'; leave one of them out")
    if "messages" in row and not set(_TEXTS) & set(row):
        rest = {key: value for key, value in row.items() if key != "messages"}
        turns = _turns(row, "messages")
        if turns[-1].role != "assistant":
            raise ValueError("'messages' must end with the assistant's turn")
        for at, turn in enumerate(turns):
            if turn.role != "assistant" or (which == "last" and at < len(turns) - 1):
                continue
            if at == 0 or turns[at - 1].role != "user":
                raise ValueError(
                    "'messages' has a turn of the assistant that answers no user's turn"
                )
            yield rest | {"prompt": _plain(turns[:at]), "completion": _plain((turn,))}
        return
    # Only where nothing else in the row could be trained on: a column may well be called so.
    for column, remedy in _FOREIGN.items():
        if column in row and not {"text", *_TEXTS} & set(row):
            raise ValueError(remedy)
    made = dict(row)
    chats = {key: _turns(row, key) for key in _TEXTS if isinstance(row.get(key), list)}
    if "prompt" not in row and set(_PAIR) <= set(chats):
        chosen, rejected = (chats[key] for key in _PAIR)
        if chosen[:-1] != rejected[:-1] or len(chosen) < 2 or chosen[-2].role != "user":
            raise ValueError(
                "'chosen' and 'rejected' must be one conversation up to the assistant's last turn; "
                "or give the 'prompt'"
            )
        # What both conversations share is the prompt, and the last turn of each a response to it.
        made["prompt"], chats = _plain(chosen[:-1]), {key: chats[key][-1:] for key in _PAIR}
    for key, turns in chats.items():
        made[key] = _checked(key, turns, made)
    for key in ("prompts", "responses"):
        parts = made.get(key)
        if isinstance(parts, list) and any(isinstance(part, list) for part in parts):
            made[key] = [
                _checked(key, _turns({key: part}, key), row) if isinstance(part, list) else part
                for part in parts
            ]
    if isinstance(made.get("prompt"), str) and any(key in chats for key in _TEXTS[1:]):
        raise ValueError("the prompt is text, so must the response be")
    yield made


def _checked(key: str, turns: Chat, row: Mapping[str, Any]) -> Messages:
    """A prompt's turns, or a response's one; ValueError where they are something else."""
    if key == "prompt" and turns[-1].role != "user":
        raise ValueError("'prompt' must end with the user's turn")
    if not key.startswith("prompt") and [turn.role for turn in turns] != ["assistant"]:
        if row.get("prompt") in (_plain(turns[:-1]), turns[0].content):
            raise ValueError(
                f"'{key}' repeats the prompt; give its last turn alone, or leave out 'prompt'"
            )
        whole = "; a whole conversation belongs under 'messages'" if key == "completion" else ""
        other = next((repr(turn.role) for turn in turns if turn.role != "assistant"), "several")
        raise ValueError(f"'{key}' must be the assistant's turn alone; it holds {other}{whole}")
    return _plain(turns)


def _turns(row: Mapping[str, Any], key: str) -> Chat:
    try:
        turns = read_turns(row[key])
    except ValueError as error:
        raise ValueError(f"'{key}' {error}") from None
    # Templates put a system turn first, so one further down would reach no model as written.
    if any(turn.role == "system" for turn in turns[1:]):
        raise ValueError(f"'{key}' has a system turn that is not the first")
    return turns


def _plain(turns: Chat) -> Messages:
    return [{"role": turn.role, "content": turn.content} for turn in turns]


def text_of(part: Any) -> str:
    """A text as it is, or the words of a list of messages."""
    return part if isinstance(part, str) else "\n".join(str(turn["content"]) for turn in part)


def texts_of(row: Mapping[str, Any]) -> list[str]:
    """What a row trains on, a text for each of its responses; a null column is none."""
    if "text" in row:
        return [row["text"]]
    if "messages" in row:
        return [text_of(row["messages"])]
    prompt, responses = row.get("prompt"), row.get("responses") or []
    said = [(prompt, row[name]) for name in _TEXTS[1:] if row.get(name) is not None]
    # A row of several prompts has one for each of its responses.
    prompts = row.get("prompts") or [prompt] * len(responses)
    said += zip_longest(prompts, responses)
    return [text_of(asked or "") + text_of(reply or "") for asked, reply in said or [(prompt, "")]]


def parts_of(row: Mapping[str, Any]) -> list[str]:
    """A row's texts, and each of its prompts and of the turns of its chats by itself.

    A short prompt is repeated by a whole text alone, which a prompt with its response is not.
    """
    found = texts_of(row)
    for part in (*(row.get(key) for key in _CHATS), *(row.get("prompts") or ())):
        if isinstance(part, str):
            found.append(part)
        elif part:
            found += (text_of([turn]) for turn in part)
    turns = (turn for text in found if NEXT_TURN.search(text) for turn in NEXT_TURN.split(text))
    return list(dict.fromkeys([*found, *turns]))


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
    refuse_half_characters(value, str(path))
    if not isinstance(value, list) or not all(isinstance(row, dict | str) for row in value):
        raise DataError(f"{path}: expected a list of objects or of texts")
    for number, row in enumerate(value, 1):
        yield number, {"prompt": row} if isinstance(row, str) else row


def _parquet_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    from pyarrow import ArrowException, parquet

    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            # In batches: a file of a million rows needn't be in memory at once.
            for batch in file.iter_batches(batch_size=1024):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except (ArrowException, OSError, ValueError) as error:
        raise DataError(f"{path}: not readable as parquet: {reason(error)}") from error


_READERS: dict[str, Callable[[Path], Iterator[tuple[int, dict[str, Any]]]]] = {
    ".csv": _csv_rows, ".json": _json_rows, ".parquet": _parquet_rows,
}  # fmt: skip
