"""What transforms share: prompts as texts or as messages.

Leaves out: similarity of texts (models/embed.py).
"""

from typing import Any

from whyfirst.models.base import Message, instructed


def words_of(prompt: Any) -> str:
    """A text as it is, or the contents of a list of messages."""
    return prompt if isinstance(prompt, str) else "\n".join(turn["content"] for turn in prompt)


def told_first(prompt: Any, instruction: str) -> Any:
    """A row's prompt after an instruction, as `models.base.instructed` puts it."""
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
    if isinstance(prompt, str):
        return f"{prompt}\n\n{addition}"
    turns = [dict(turn) for turn in prompt]
    turns[-1]["content"] = f"{turns[-1]['content']}\n\n{addition}"
    return turns
