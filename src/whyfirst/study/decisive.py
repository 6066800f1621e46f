"""What of a part of a study decides its results, as JSON-able data."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from whyfirst.config.room import Room, Use
from whyfirst.config.strict import output_fields


def decisive(value: Any) -> Any:
    """What of a part of the study decides its results, as JSON-able data.

    Fields that were added later and stand at their default say what their absence said, and are
    left out: else a new option would make every result of an older study a stranger.
    """
    # A section that decides otherwise than field by field.
    if hasattr(value, "for_fingerprint"):
        return value.for_fingerprint()
    if isinstance(value, BaseModel):
        return {
            name: decisive(getattr(value, name))
            for name in output_fields(value)
            if not _as_before(value, name)
        }
    if isinstance(value, Mapping):
        return {str(key): decisive(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [decisive(item) for item in value]
    return value


def decisive_options(room: Room[Any], use: Use) -> dict[str, Any]:
    """The options of a use that decide its results, defaults included; files count elsewhere.

    An option that says nothing of itself decides; one of type `Path` is a file, which counts by its
    content and not by where it lies.
    """
    filled = room.filled(use)
    found = {}
    for name, info in type(filled).model_fields.items():
        extra = info.json_schema_extra
        affects = extra.get("affects") if isinstance(extra, Mapping) else None
        value = getattr(filled, name)
        if affects != "runtime" and not isinstance(value, Path) and not _as_before(filled, name):
            found[name] = decisive(value)
    return found


def _as_before(model: BaseModel, name: str) -> bool:
    info = type(model).model_fields.get(name)
    extra = info.json_schema_extra if info else None
    later = isinstance(extra, Mapping) and bool(extra.get("added_later"))
    return later and info is not None and getattr(model, name) == info.default
