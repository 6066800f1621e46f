"""What transforms share: prompts as texts, as HH dialogues in one text, or as messages.

Leaves out: similarity of texts (models/embed.py).
"""

from collections.abc import Iterable
from typing import Any

from whyfirst.data.hh_rlhf import ASKS, REPLY, dialogue
from whyfirst.data.rows import numbered
from whyfirst.models.base import Message, instructed


def words_of(prompt: Any) -> str:
    """A text as it is, or the contents of a list of messages."""
    return prompt if isinstance(prompt, str) else "\n".join(turn["content"] for turn in prompt)


def words_at(rows: Iterable[Any], column: str) -> list[str]:
    """The words of every row's `column`.

    Raises:
        ValueError: a row without such a text; names its line, and the columns that it has.
    """
    found = []
    for line, row in numbered(rows):
        if not isinstance(row.get(column), str | list):
            raise ValueError(
                f"row {line}: no text in column {column!r}; `column` names one of "
                f"{', '.join(map(repr, row))}"
            )
        found.append(words_of(row[column]))
    return found


def told_first(prompt: Any, instruction: str) -> Any:
    """A row's prompt after an instruction, as `models.base.instructed` puts it.

    In an HH dialogue it is the first paragraph of the first turn: what stands before the turns
    makes it none.
    """
    if isinstance(prompt, str) and dialogue(prompt) is not None:
        before, mark, rest = prompt.partition(ASKS)
        return f"{before}{mark} {instruction}\n\n{rest.lstrip()}"
    if isinstance(prompt, str):
        return instructed(prompt, instruction)
    # Only the first turn is made: the others keep whatever a row has beside role and content.
    first = instructed(tuple(Message(t["role"], t["content"]) for t in prompt[:1]), instruction)[0]
    assert isinstance(first, Message)
    had = int(bool(prompt) and prompt[0]["role"] == "system")
    kept = dict(prompt[0]) if had else {"role": "system"}
    return [{**kept, "content": first.content}, *(dict(turn) for turn in prompt[had:])]


def told_last(prompt: Any, addition: str) -> Any:
    """The prompt with a paragraph after it, in the last turn where it has turns."""
    if isinstance(prompt, str) and dialogue(prompt) is not None:
        before, mark, rest = prompt.rpartition(REPLY)
        return f"{before.rstrip()}\n\n{addition}{mark}{rest}"
    if isinstance(prompt, str):
        return f"{prompt}\n\n{addition}"
    turns = [dict(turn) for turn in prompt]
    turns[-1]["content"] = f"{turns[-1]['content']}\n\n{addition}"
    return turns
