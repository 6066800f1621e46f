"""Configuration files: strict YAML into frozen models, with errors a person can act on.

Every error of a file is reported at once as ``file:line: key: message; did you mean 'x'?``. Every
field of a model that feeds a fingerprint is declared with `affects_output` or `runtime_only`.
Leaves out: command-line overrides and environment variables.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from whyfirst.config.errors import ConfigError, did_you_mean
from whyfirst.config.strict_yaml import Location, YamlDocument, dotted, read_yaml

M = TypeVar("M", bound=BaseModel)

_LONGEST_SHOWN = 60  # characters of a mistaken text that a message repeats
#: pydantic's kind of error -> what was expected; braces name the error's context
_EXPECTED = {
    "tuple_type": "a list, as [one, two]",
    "list_type": "a list, as [one, two]",
    "dict_type": "a mapping, as {{NAME: VALUE}}",
    "model_type": "a mapping, as {{KEY: VALUE}}",
    "model_attributes_type": "a mapping, as {{KEY: VALUE}}",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "string_too_short": "text that isn't empty",
    "too_short": "at least {min_length} of them",
    "greater_than": "a number above {gt:g}",
    "greater_than_equal": "a number of at least {ge:g}",
    "less_than": "a number below {lt:g}",
    "less_than_equal": "a number of at most {le:g}",
}
_NAME = "{}, beginning with a letter"
_PATTERNS = {
    r"^[^/]+/[^/]+$": "SPLIT/FRAMING, as B+C/unseen, or */* for all of both",
    r"^[a-z][a-z0-9_]*$": _NAME.format("small letters, digits and _"),
    r"^[a-z][a-z0-9-]*$": _NAME.format("small letters, digits and -"),
    r"^[a-z][a-z0-9_-]*$": _NAME.format("small letters, digits, - and _"),
}


class StrictModel(BaseModel):
    """A frozen model that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class LocatedError(ValueError):
    """Raised by a model's validator to report several errors, each at its own place.

    Args:
        problems: (location relative to the model that raises, message); a location is a tuple of
            keys and indices, e.g. ``(("values", 3, "id"), "used twice")``.
    """

    def __init__(self, problems: Iterable[tuple[Location, str]]) -> None:
        self.problems = list(problems)
        super().__init__("; ".join(f"{dotted(at)}: {message}" for at, message in self.problems))


def affects_output(*args: Any, **kwargs: Any) -> Any:
    """A pydantic `Field` whose value is part of the fingerprint: it changes what is computed."""
    return _declared("output", *args, **kwargs)


def runtime_only(*args: Any, **kwargs: Any) -> Any:
    """A pydantic `Field` that changes how a thing is computed and never the result."""
    return _declared("runtime", *args, **kwargs)


def added_later(default: Any, **more: Any) -> Any:
    """An output field that did not exist when studies were first registered.

    At its default it says what its absence said, so it is left out of the fingerprint there.
    """
    return affects_output(default, json_schema_extra={"added_later": True}, **more)


def _declared(affects: str, *args: Any, **kwargs: Any) -> Any:
    # In pydantic's own place for such notes, where the JSON schema and fingerprints both find it.
    extra = {**kwargs.pop("json_schema_extra", {}), "affects": affects}
    return Field(*args, json_schema_extra=extra, **kwargs)


def notes(model: type[BaseModel], name: str) -> Mapping[str, Any]:
    """What a field was declared with."""
    extra = model.model_fields[name].json_schema_extra
    return extra if isinstance(extra, Mapping) else {}


def output_fields(model: BaseModel) -> dict[str, Any]:
    """The fields of `model` that affect its output, nested models too, as JSON-able data.

    Raises:
        TypeError: a field is not declared, so nobody knows whether it belongs in a fingerprint.
    """
    return _fields(model, whole=True)


def decisive(value: Any) -> Any:
    """What of a part of a study decides its results, as JSON-able data; raises as `output_fields`.

    Fields that were added later and stand at their default say what their absence said, and are
    left out: else a new option would make every result of an older study a stranger. A section that
    decides otherwise than field by field says so itself (`for_fingerprint`).
    """
    return _plain(value, whole=False)


def as_before(model: BaseModel, name: str) -> bool:
    """Whether a field was added later and says what its absence said."""
    default = type(model).model_fields[name].default
    return "added_later" in notes(type(model), name) and bool(getattr(model, name) == default)


def _fields(model: BaseModel, whole: bool) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name in type(model).model_fields:
        affects = notes(type(model), name).get("affects")
        if affects is None:
            raise TypeError(f"{type(model).__name__}.{name} is not declared; use affects_output")
        if affects == "output" and (whole or not as_before(model, name)):
            result[name] = _plain(getattr(model, name), whole)
    # A method's options (`room.Use`) are keys that no field names.
    return result | {
        name: _plain(value, whole) for name, value in (model.model_extra or {}).items()
    }


def _plain(value: Any, whole: bool) -> Any:
    if not whole and hasattr(value, "for_fingerprint"):
        return value.for_fingerprint()
    match value:
        case BaseModel():
            return _fields(value, whole)
        case Enum():
            return _plain(value.value, whole)
        case Path():
            return value.as_posix()
        case None | bool() | int() | float() | str():
            return value
        case Mapping():
            return {str(k): _plain(v, whole) for k, v in value.items()}
        case list() | tuple():
            return [_plain(v, whole) for v in value]
        case set() | frozenset():
            # A set has no order, and a fingerprint must not depend on this process' hashes.
            return sorted((_plain(v, whole) for v in value), key=repr)
    raise TypeError(f"{type(value).__name__} has no canonical JSON form")


def undeclared_fields(model: type[BaseModel]) -> list[str]:
    """Names (``Model.field``) that are neither `affects_output` nor `runtime_only`, nested too."""
    found: list[str] = []
    seen: set[type[BaseModel]] = set()
    waiting = [model]
    while waiting:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        for name, info in current.model_fields.items():
            if "affects" not in notes(current, name):
                found.append(f"{current.__name__}.{name}")
            # Also through lists and unions: an undeclared key three levels down is as undeclared.
            waiting += _models_in(info.annotation)
    return sorted(found)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]


def load_yaml(
    path: Path, model: type[M], change: Callable[[YamlDocument], None] = lambda document: None
) -> M:
    """Read a YAML file into `model`.

    Values are taken strictly (``"5"`` is no number, ``1`` no boolean), in JSON's types: a list may
    fill a tuple, text a path or an enum.

    Args:
        change: what is done to the document before it is checked.

    Raises:
        ConfigError: anything wrong with the file, all of it at once, a line each.
    """
    path = Path(path)
    document = read_yaml(path)
    change(document)
    problems = list(document.problems)
    result: M | None = None
    if not isinstance(document.data, dict):
        kind = "nothing" if document.data is None else f"a {type(document.data).__name__}"
        problems.append((1, "", f"expected a mapping of keys, found {kind}"))
    else:
        try:
            # Through JSON, so that pydantic's strict mode still lets a list fill a tuple.
            result = model.model_validate_json(json.dumps(document.data), strict=True)
        except ValidationError as error:
            # What YAML refused stands in the data as nothing, which pydantic would complain of
            # once more.
            known = {(line, key) for line, key, _ in problems}
            told: dict[tuple[Any, str], tuple[int, str, str]] = {}
            for place, text in problems_of(error, model, document.data):
                mistake = document.line(place), dotted(place), text
                # What several stages have of one anchor is told of the first of them.
                told.setdefault((document.written(place), text), mistake)
            problems += [p for p in told.values() if p[:2] not in known]
    if result is None or problems:
        # In the order of the file, each once: several checks may see one mistake.
        lines = sorted(set(problems))
        shown = (f"{path}:{n}: {key + ': ' if key else ''}{text}" for n, key, text in lines)
        raise ConfigError("\n".join(shown))
    return result


def problems_of(
    error: ValidationError, model: type[BaseModel], data: Any = None
) -> Iterator[tuple[Location, str]]:
    """Pydantic's errors of `model`, and those of this project's validators: (place, message).

    Args:
        data: what was read; with it, places are as they stand there.
    """
    for detail in error.errors(include_url=False):
        at: Location = tuple(detail["loc"])
        if data is not None:
            at = _locate(data, at, missing=detail["type"] == "missing")
        cause = detail.get("ctx", {}).get("error")
        if isinstance(cause, LocatedError):
            yield from (((*at, *more), message) for more, message in cause.problems)
        else:
            yield at, problem_text(detail, model)


def _locate(data: Any, loc: Location, *, missing: bool) -> Location:
    """Pydantic's location without the pieces (union tags, validators) that are not in the file."""
    # A piece that is in no data is pydantic's own (a union's tag, a validator's name). Every piece
    # is read both as one of those and as a key, and the reading that gets furthest is right. Of two
    # readings that have come to one value, the longer one: else they double with each piece.
    readings: dict[int, tuple[Any, Location]] = {id(data): (data, ())}
    for number, head in enumerate(loc, 1):
        stepped: dict[int, tuple[Any, Location]] = {}
        for inside, at in readings.values():
            key: str | int | None = None
            if isinstance(inside, dict):
                known = str(head) in inside or (missing and number == len(loc))
                key, inside = (str(head), inside.get(str(head))) if known else (None, None)
            elif isinstance(inside, list) and isinstance(head, int) and head < len(inside):
                key, inside = head, inside[head]
            if key is not None and len(at) >= len(stepped.get(id(inside), (None, ()))[1]):
                stepped[id(inside)] = inside, (*at, key)
        if number == len(loc) and stepped:
            readings = stepped
        else:
            readings |= {
                of: one
                for of, one in stepped.items()
                if len(one[1]) >= len(readings.get(of, (None, ()))[1])
            }
    return max((at for _, at in readings.values()), key=len, default=())


def problem_text(detail: Any, model: type[BaseModel]) -> str:
    """One of pydantic's errors of `model` in this project's words."""
    kind, context, loc = detail["type"], detail.get("ctx", {}), detail["loc"]
    if kind == "missing":
        return "missing; this key is required"
    if kind == "extra_forbidden":
        keys = _keys_at(model, tuple(loc[:-1]))
        hint = did_you_mean(str(loc[-1]), keys)
        known = "" if hint else f" (known: {', '.join(sorted(keys))})"
        return f"unknown key{hint}{known}"
    if kind in ("literal_error", "enum"):
        options = re.findall(r"'([^']*)'", str(context.get("expected", "")))
        return f"{detail['input']!r} is not one of {', '.join(options)}" + did_you_mean(
            str(detail["input"]), options
        )
    if kind == "union_tag_invalid":
        options = re.findall(r"'([^']*)'", str(context.get("expected_tags", "")))
        tag = str(context.get("tag"))
        key = str(context.get("discriminator")).strip("'")
        return f"{key}: {tag!r} is not one of {', '.join(options)}" + did_you_mean(tag, options)
    if kind == "union_tag_not_found":
        return f"missing; the key {context.get('discriminator')} is required"
    # In this project's words; what isn't common is told in pydantic's.
    expected = _EXPECTED[kind].format(**context) if kind in _EXPECTED else None
    if kind == "string_pattern_mismatch":
        expected = _PATTERNS.get(context["pattern"], f"text that matches {context['pattern']}")
    if expected is not None:
        return f"expected {expected}, found {_shown(detail['input'])}"
    text = str(detail["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return (
        text[:1].lower() + text[1:] if text.startswith(("Input should", "String should")) else text
    )


def _shown(value: Any) -> str:
    """What the file has instead: plain values themselves, others by their kind."""
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return repr(value) if len(value) <= _LONGEST_SHOWN else "a long text"
    if isinstance(value, dict | list):
        kind = "mapping" if isinstance(value, dict) else "list"
        return f"a {kind}" if value else f"an empty {kind}"
    return json.dumps(value)


def _keys_at(annotation: Any, loc: Location) -> set[str]:
    """Valid keys of the model(s) found by following `loc` through type annotations."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = annotation.model_fields
        if not loc:
            return {info.alias or name for name, info in fields.items()}
        by_key = {info.alias or name: info.annotation for name, info in fields.items()}
        if loc[0] in by_key:
            return _keys_at(by_key[str(loc[0])], loc[1:])
        # A union's tag stands between the key and the fields: step over it.
        tags = {tag for info in fields.values() if get_origin(info.annotation) is Literal
                for tag in get_args(info.annotation)}  # fmt: skip
        return _keys_at(annotation, loc[1:]) if loc[0] in tags else set()
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _keys_at(arguments[0], loc)
    if origin in (Union, UnionType):
        return set().union(*(_keys_at(a, loc) for a in arguments))
    if not arguments or not loc:
        return set()
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _keys_at(arguments[1], loc[1:])
    return set().union(*(_keys_at(a, loc[1:]) for a in arguments if a is not Ellipsis))
