"""What transforms share: prompts as texts or as messages.

Leaves out: similarity of texts (models/embed.py).
"""

from typing import Any


def words_of(prompt: Any) -> str:
    """A text as it is, or the contents of a list of messages."""
    return prompt if isinstance(prompt, str) else "\n".join(turn["content"] for turn in prompt)


def told_first(prompt: Any, instruction: str) -> Any:
    """The prompt with an instruction before it: a system message, or a first paragraph."""
    if isinstance(prompt, str):
        return f"{instruction}\n\n{prompt}"
    turns = [dict(turn) for turn in prompt]
    if turns and turns[0]["role"] == "system":
        turns[0]["content"] = f"{turns[0]['content']}\n\n{instruction}"
        return turns
    return [{"role": "system", "content": instruction}, *turns]


def told_last(prompt: Any, addition: str) -> Any:
    """The prompt with a paragraph after it, in the last turn where it has turns."""
    if isinstance(prompt, str):
        return f"{prompt}\n\n{addition}"
    turns = [dict(turn) for turn in prompt]
    turns[-1]["content"] = f"{turns[-1]['content']}\n\n{addition}"
    return turns
