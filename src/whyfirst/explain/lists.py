"""Lists of objects read out of a model's reply.

Where objects have one key, a numbered or bulleted list will do: small models write it where they
were asked for JSON. Leaves out: repairing JSON that isn't JSON; the model is asked again instead.
"""

import re
from dataclasses import replace

from whyfirst.config.bounded import parse_json
from whyfirst.config.errors import UserError
from whyfirst.models.base import Chat, LanguageModel, Sampling
from whyfirst.models.said import said

_TRIES = 3
_LINE = re.compile(r"^[^\S\n]*(?:\d+[.)]|[-*•])\s+(\S(?:.*\S)?)[^\S\n]*$", re.MULTILINE)


def read_list(reply: str, keys: tuple[str, ...]) -> list[dict[str, str]] | None:
    """The first JSON list of objects in which every object has `keys` as texts, or for one key the
    lines of a list; None if there is neither."""
    text = said(reply).text
    # What stands around the list is talk: a fence, a preface, a closing remark.
    start, end = text.find("["), text.rfind("]")
    try:
        data = parse_json(text[start : end + 1])
    except ValueError:
        lines = [line.strip("\"' ") for line in _LINE.findall(text)] if len(keys) == 1 else []
        return [{keys[0]: line} for line in lines if line] or None
    if not isinstance(data, list) or not data:
        return None
    found = []
    for row in data:
        kept = {k: str(row[k]).strip() for k in keys
                if isinstance(row, dict) and isinstance(row.get(k), str)}  # fmt: skip
        # An object that lacks a key is passed over: the others are still of use.
        if len(kept) == len(keys) and all(kept.values()):
            found.append(kept)
    return found or None


def ask_lists(
    model: LanguageModel,
    prompts: list[Chat],
    keys: tuple[str, ...],
    sampling: Sampling,
    what: str,
    *,
    some: bool = False,
) -> list[list[dict[str, str]]]:
    """One list a prompt; a reply that holds none is asked for again, three times in all.

    Args:
        some: one usable list is enough; the other prompts then have an empty one, unasked again.

    Raises:
        UserError: a prompt got no usable list (`some`: none did); says what it was for.
    """
    found: dict[int, list[dict[str, str]]] = {}
    for attempt in range(_TRIES):
        left = [i for i in range(len(prompts)) if i not in found]
        if not left or (some and found):
            break
        # Another seed: the same one would get the same unusable reply, from a cache at the latest.
        again = replace(sampling, seed=sampling.seed + attempt)
        replies = model.generate([prompts[i] for i in left], 1, again)
        for i, (reply,) in zip(left, replies, strict=True):
            if rows := read_list(reply.text, keys):
                found[i] = rows
    if len(found) < len(prompts) and not (some and found):
        raise UserError(
            f"the teacher gave no usable list of {what} in {_TRIES} tries "
            f"({len(prompts) - len(found)} of {len(prompts)} prompts); try another teacher, or "
            "write the list by hand"
        )
    return [found.get(i, []) for i in range(len(prompts))]
