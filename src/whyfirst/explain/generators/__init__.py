"""Ways to have a language model write rows, by name.

A generator is ``(row: Row, sampling: Sampling, *, options) -> Script``: for one row of a corpus'
`seeds` a script (models/decoding/dialogue.py) that asks roles and returns the rows it made. The
role ``model`` is the teacher, and so is every other one where no judge is given for it. A script
that can use nothing of what it was told raises `Unusable` with the reason: its seed is left out and
counted. Entered with ``@GENERATORS.enter(name, ...)`` in a file of its own here; facts beside
`Entry`'s own:

- ``columns``: what a row of `seeds` must have;
- ``gives``: columns of the rows it makes;
- ``calls``: ``options -> int``, completions it asks for at most for one seed;
- ``judged``: the roles that the `judge` plays, where one is given.

What a runner gives, to those that ask for it by a keyword-only parameter of that name: `seeds`, all
rows of them; `left_out`, called with a row that is left out, and why; `embed`, texts -> array
(n, d). Leaves out: batching, caps, what is kept of a run (explain/generate.py).
"""

import re
from collections.abc import Callable, Generator, Mapping
from typing import Any

from whyfirst.config.bounded import parse_json
from whyfirst.config.room import Room
from whyfirst.explain.lists import read_list
from whyfirst.models.base import Completion, Sampling, asked
from whyfirst.models.decoding.dialogue import Request

Row = Mapping[str, Any]
LeftOut = Callable[[Row, str], None]
Script = Generator[list[Request], list[list[Completion]], list[dict[str, Any]]]
Saying = Generator[list[Request], list[list[Completion]], str]
Reading = Generator[list[Request], list[list[Completion]], dict[str, Any]]

GENERATORS: Room[Script] = Room("generators", __name__, context=("seeds", "left_out", "embed"))


class Unusable(Exception):
    """What a role said is of no use to a script; says why."""


def told(text: str, sampling: Sampling, role: str = "model", system: str | None = None) -> Saying:
    """Ask a role and return what it said.

    Raises:
        Unusable: it said nothing.
    """
    ((completion, *_),) = yield [Request(asked(text, system), sampling, role)]
    if not (reply := completion.text.strip()):
        raise Unusable(f"the {role} said nothing")
    return reply


def read(
    text: str, keys: tuple[str, ...], sampling: Sampling, role: str = "model",
    system: str | None = None,
) -> Reading:  # fmt: skip
    """Ask a role for a JSON object and return it.

    Raises:
        Unusable: there is none that has something under every key.
    """
    form = "Answer with one JSON object and nothing else, with the keys " + ", ".join(keys) + "."
    ((completion, *_),) = yield [Request(asked(f"{text}\n\n{form}", system), sampling, role)]
    reply = completion.text
    try:
        found = parse_json(reply[reply.find("{") : reply.rfind("}") + 1])
    except ValueError:
        found = None
    if not isinstance(found, dict) or any(found.get(key) in (None, "", []) for key in keys):
        raise Unusable(f"the {role} gave no object with {', '.join(keys)}")
    return found


def listed(
    text: str, keys: tuple[str, ...], sampling: Sampling, role: str = "model"
) -> Generator[list[Request], list[list[Completion]], list[dict[str, str]]]:
    """Ask a role for a JSON list of objects of texts and return it.

    Raises:
        Unusable: there is none.
    """
    form = "Answer with a JSON list of objects and nothing else, each with the keys "
    reply = yield from told(f"{text}\n\n{form}{', '.join(keys)}.", sampling, role)
    if (rows := read_list(reply, keys)) is None:
        raise Unusable(f"the {role} gave no list of objects with {', '.join(keys)}")
    return rows


def mark(reply: str) -> float | None:
    """The first number of a reply."""
    found = re.search(r"-?\d+(?:\.\d+)?", reply)
    return None if found is None else float(found[0])
