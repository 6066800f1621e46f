"""Preference pairs: the HH-RLHF files, and the field's prompt / chosen / rejected columns.

Text is kept byte for byte: `prompt + chosen` is the published dialogue. Rows are split by a hash of
their prompt. A line that can't be read
stops the reader with its number; a readable row that is no usable pair is returned as skipped with
its number and reason. Leaves out: conversational (messages) columns and downloading.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

from whyfirst.config.errors import DataError
from whyfirst.data.published import by_name, found_files, json_lines, other_benchmark
from whyfirst.models.base import Chat, Message

# As they stand in the published files: a colon and no space, which begins the reply itself.
REPLY, ASKS = "\n\nAssistant:", "\n\nHuman:"
_FOLDERS = ("harmless-base", "helpful-base", "helpful-online", "helpful-rejection-sampled")


class Placed:
    """A row of a file: its line from 1, and the file's name within what was read."""

    row: int
    file: str

    @property
    def id(self) -> str:
        """``file:row``, unique within what was read."""
        return f"{self.file}:{self.row}"


@dataclass(frozen=True)
class Pair(Placed):
    """Two replies to one prompt, `chosen` preferred."""

    row: int
    prompt: str
    chosen: str
    rejected: str
    file: str = ""

    @property
    def characters(self) -> int:
        """Length of the prompt with the longer reply."""
        return len(self.prompt) + max(len(self.chosen), len(self.rejected))


@dataclass(frozen=True)
class Skipped(Placed):
    """A row that was read and is no usable pair; `prompt` decides its side of a split."""

    row: int
    reason: str
    file: str = ""
    prompt: str = ""


class Pairs(NamedTuple):
    """What a reader found; together every row of the input."""

    pairs: list[Pair]
    skipped: list[Skipped]


def read_hh(path: Path) -> Pairs:
    """Read pairs of whole dialogues (``chosen``, ``rejected``) or explicit ``prompt`` columns.

    A dialogue pair is cut after the last ``"\\n\\nAssistant:"``, up to where both must agree.

    Args:
        path: a .jsonl or .jsonl.gz file, or a folder holding such files at any depth. Where one of
            HH-RLHF's own folders (``harmless-base``, ...) is among them, only those are read.

    Raises:
        DataError: nothing there, a torn archive, or a row that is no object with these texts.
    """
    rows = [
        _pair(file, number, row, name)
        for name, file in _files(path).items()
        for number, row in json_lines(file)
    ]
    return Pairs(
        [row for row in rows if isinstance(row, Pair)],
        [row for row in rows if isinstance(row, Skipped)],
    )


P = TypeVar("P", Pair, Skipped)


def split_by_prompt_hash(pairs: Iterable[P], held_out: float) -> tuple[list[P], list[P]]:
    """Return (training rows, held-out rows), each in the given order.

    The same prompt always falls on the same side, in any order and any subset of the rows, so that
    nothing trained on is scored. A longer turn of the same dialogue is another prompt.

    Args:
        held_out: expected share of prompts held out, from 0 to 1.

    Raises:
        ValueError: `held_out` lies outside [0, 1].
    """
    if not 0 <= held_out <= 1:
        raise ValueError(f"held_out must lie in [0, 1], not {held_out}")
    train: list[P] = []
    held: list[P] = []
    for pair in pairs:
        # The first six bytes of the hash as a number in [0, 1): the same on every machine.
        is_held = int.from_bytes(prompt_hash(pair.prompt)[:6], "big") / 2**48 < held_out
        (held if is_held else train).append(pair)
    return train, held


def prompt_hash(prompt: str) -> bytes:
    """What decides on which side of a split a prompt falls, and which of many are taken."""
    # Half a character, as some scraped files hold, has no UTF-8; it is a prompt all the same.
    return hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).digest()


def split_hh(path: Path, held_out: float, max_characters: int | None = None) -> tuple[Pairs, Pairs]:
    """Read `path` and return its training and its held-out rows, split by prompt hash.

    Args:
        held_out: expected share of prompts held out, from 0 to 1.
        max_characters: leave out pairs whose prompt and longer reply together have more.

    Raises:
        DataError: as `read_hh`.
    """
    found = read_hh(path)
    short = [p for p in found.pairs if max_characters is None or p.characters <= max_characters]
    train, held = split_by_prompt_hash(short, held_out)
    train_skipped, held_skipped = split_by_prompt_hash(found.skipped, held_out)
    return Pairs(train, train_skipped), Pairs(held, held_skipped)


def _files(path: Path) -> dict[str, Path]:
    """The files to read, by the name their rows carry."""
    if path.is_file():
        return {path.name: path}
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    files = found_files(path, ["*.jsonl", "*.jsonl.gz"])
    if not files:
        raise DataError(f"{path}: holds no .jsonl or .jsonl.gz file")
    published = [file for file in files if file.parent.name in _FOLDERS and file.parent != path]
    if not published:
        return {file.relative_to(path).as_posix(): file for file in files}
    # The same name wherever above its folder the data were found, so that ids don't change.
    return by_name(path, published, lambda file: f"{file.parent.name}/{file.name}")


def _pair(file: Path, number: int, row: dict[str, Any], name: str) -> Pair | Skipped:
    explicit = "prompt" in row
    for column in ("prompt", "chosen", "rejected") if explicit else ("chosen", "rejected"):
        if not isinstance(row.get(column), str):
            raise DataError(
                f"{file}: row {number}: {column!r} is missing or is no text"
                f"{other_benchmark(file, 'preference')}"
            )
    prompt, chosen, rejected = row.get("prompt", ""), row["chosen"], row["rejected"]
    if not explicit:
        cut = chosen.rfind(REPLY) + len(REPLY)
        if cut < len(REPLY):
            reason = "the chosen dialogue has no reply of the assistant"
            return Skipped(number, reason, name)
        prompt = chosen[:cut]
        # Both are whole dialogues: cut where the last reply begins, which must be one place.
        if cut != rejected.rfind(REPLY) + len(REPLY) or rejected[:cut] != prompt:
            reason = "the dialogues differ before the last reply"
            return Skipped(number, reason, name, prompt)
        chosen, rejected = chosen[cut:], rejected[cut:]
    for column, text in (("chosen", chosen), ("rejected", rejected)):
        if ASKS in text:
            reason = f"the {column} dialogue goes on after its last reply"
            return Skipped(number, reason, name, prompt)
        if not text.strip():
            return Skipped(number, f"the {column} reply is empty", name, prompt)
    return Pair(number, prompt, chosen, rejected, name)


def dialogue(prompt: str) -> Chat | None:
    """The turns of an HH prompt, ready to be answered; None if it isn't one.

    Turns lose the white space round them, and neighbouring turns of one speaker become one (chat
    templates refuse them otherwise). An empty turn, or a dialogue that the assistant opens, is
    none.
    """
    # The pattern's group keeps the speakers in the list: text, speaker, text, speaker, ...
    before, *parts = re.split(r"\n\n(Human|Assistant):", prompt)
    if before.strip() or len(parts) < 4 or parts[-2] != "Assistant" or parts[-1].strip():
        return None
    turns: list[Message] = []
    for speaker, text in zip(parts[:-2:2], parts[1:-2:2], strict=True):
        if not text.strip():
            return None
        # Some published dialogues have one speaker twice in a row, which most templates refuse.
        role: Literal["user", "assistant"] = "user" if speaker == "Human" else "assistant"
        if turns and turns[-1].role == role:
            turns[-1] = Message(role, f"{turns[-1].content}\n\n{text.strip()}")
        else:
            turns.append(Message(role, text.strip()))
    return tuple(turns) if turns[0].role == "user" and turns[-1].role == "user" else None
