"""The short form of a method's name and first option: ``many_shot:32``, ``classifier:FOLDER``.

Command lines and lists of names use it; a study file may give a mapping with every option. Leaves
out: checking the options, which the room does.
"""

from contextlib import suppress
from typing import Any

from pydantic import TypeAdapter, ValidationError

from whyfirst.config.errors import UserError
from whyfirst.config.room import Room, Use


def use_of_text(room: Room[Any], named: str | Use) -> Use:
    """``name`` or ``name:value`` as a `Use`; the value is that of the method's first option.

    Raises:
        UserError: no such method, or a value for one without options.
    """
    if isinstance(named, Use):
        return named
    name, colon, value = named.partition(":")
    if not colon:
        return Use(name=name)
    options = room.get(name).options
    if not options:
        raise UserError(f"{room.kind}: {name!r} takes nothing after a colon, not {value!r}")
    # A word stays a word where the option is text; numbers are read as the option's type says.
    given: Any = value
    with suppress(ValidationError):  # what is wrong with it, the room says
        given = TypeAdapter(options[0].type).validate_strings(value)
    return Use.model_validate({"name": name, options[0].name: given})
