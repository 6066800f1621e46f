"""Methods in one word: ``many_shot:32`` (the first option), ``best_of_n,n=8,by=random`` (any).

Command lines and lists of names use it; a study file may give a mapping with every option. Leaves
out: checking the options, which the room does.
"""

import re
from contextlib import suppress
from typing import Any

import yaml
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
    # The first colon: a path or a number of its own may follow it.
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


def use_with_options(room: Room[Any], text: str) -> Use:
    """``name,option=value,...`` as a `Use`; a value is written as in a study file.

    Raises:
        UserError: no such method, a part without ``=``, an option given twice, or a value that is
            no YAML.
    """
    # A comma within a value, as in weights=[0.5, 0.5], begins no option.
    name, *parts = re.split(r",(?=\s*\w+\s*=)", text)
    given: dict[str, Any] = {"name": room.get(name.strip()).name}
    for part in parts:
        option, _, value = (word.strip() for word in part.partition("="))
        # `name` would make it another method, and of one given twice one would go unread.
        if option in given:
            said = "is no option" if option == "name" else "is given twice"
            raise UserError(f"{name}: {option!r} {said}")
        try:
            given[option] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise UserError(f"{name}: {option}={value}: not a value of a file") from error
    return Use.model_validate(given)
