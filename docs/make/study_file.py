"""The reference of study files, made from the models that read them: a page and a JSON schema.

``python docs/make/study_file.py`` writes `docs/study-file.md` and, for editors,
`study/study-file.schema.json`; a test fails when either differs from what the models say. Examples
are taken from the studies that ship. Leaves out: the methods' own options (`whyfirst list KIND`).
"""

import inspect
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from whyfirst.config.strict_yaml import read_yaml
from whyfirst.study import SCHEMA_FILE
from whyfirst.study.schema import StudyFile
from whyfirst.study.shipped import shipped_studies, shipped_study

PAGE = Path(__file__).parents[1] / "study-file.md"
HEAD = """# Study files

Every key of a study file, made from the models that read it by `python docs/make/study_file.py`;
change those and not this page. Methods named in a file (benchmarks, objectives, rewards, edits,
decodings, ...) and their options are listed by `whyfirst list KIND`.

An editor checks a file as it is written where its first line is

```yaml
# yaml-language-server: $schema=PATH/study-file.schema.json
```

with the path that `python -c "import whyfirst.study as s; print(s.SCHEMA_FILE)"` prints.
"""
#: of keys that no shipped study uses, by what they hold
_BY_TYPE: dict[Any, Any] = {bool: True, int: 1, float: 0.5, str: "name"}


def page() -> str:
    """The whole of docs/study-file.md."""
    found = _models()
    anchors = {model: f"`{model.__name__}`" for model in found}
    parts = [HEAD]
    for model, where in found.items():
        title = "The file" if model is StudyFile else f"{anchors[model]}: {where}"
        summary = " ".join((inspect.getdoc(model) or "").split("\n\n")[0].split())
        rows = ["| key | type | default | is | example |", "|---|---|---|---|---|"]
        for name, field in model.model_fields.items():
            key = field.alias or name
            cells = (f"`{key}`", _code(type_text(field)), _default(field), field.description or "",
                     _code(_example(key, field)))  # fmt: skip
            rows.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
        parts.append(f"## {title}\n\n{summary}\n\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


def schema() -> dict[str, Any]:
    """The JSON schema of a study file, for editors."""
    made = StudyFile.model_json_schema(mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


def missing() -> list[str]:
    """Keys that say nothing of what they are: ``Model.key``."""
    return [
        f"{model.__name__}.{name}"
        for model in _models()
        for name, field in model.model_fields.items()
        if not field.description and name not in ("kind", "source")
    ]


def _models() -> dict[type[BaseModel], str]:
    """Every model of a study file -> the key it stands under, in the order they are met."""
    found: dict[type[BaseModel], str] = {}
    left: list[tuple[type[BaseModel], str]] = [(StudyFile, "")]
    while left:
        model, where = left.pop(0)
        if model in found:
            continue
        found[model] = where
        for name, field in model.model_fields.items():
            key = f"{where}.{name}" if where else name
            left += [(inner, f"under `{key.removeprefix('under ').replace('`', '')}`")
                     for inner in _inner(field.annotation) if inner not in found]  # fmt: skip
    return found


def _inner(given: Any) -> Iterator[type[BaseModel]]:
    if isinstance(given, type) and issubclass(given, BaseModel):
        yield given
    for part in get_args(given):
        yield from _inner(part)


def type_text(field: FieldInfo) -> str:
    """A field's type as a reader of YAML would say it: "list of text", "mapping to number"."""
    return _words(field.annotation)


def _words(given: Any) -> str:
    origin, parts = get_origin(given), get_args(given)
    if origin is Annotated:
        return _words(parts[0])
    if origin in (Union, UnionType):
        named = dict.fromkeys(_words(part) for part in parts if part is not NoneType)
        return " or ".join(named) + (" or null" if NoneType in parts else "")
    if origin is Literal:
        return " or ".join(map(str, parts))
    if origin in (tuple, list):
        return f"list of {_words(parts[0])}"
    if origin is dict:
        return f"mapping to {_words(parts[1])}"
    simple = {bool: "true or false", int: "whole number", float: "number", str: "text"}
    return simple.get(given) or str(getattr(given, "__name__", given))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return "its defaults"
    return "null" if value is None else _code(_yaml(value) or '""')


def _example(key: str, field: FieldInfo) -> str:
    """``key: value`` from a shipped study, else the default, else a value of the type."""
    value = _USED.get(key)
    if value is None and not field.is_required():
        value = field.get_default(call_default_factory=True)
    if value is None or value in ((), {}):
        value = _by_type(field.annotation)
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    return f"{key}: {_yaml(value)}"


def _by_type(given: Any) -> Any:
    origin, parts = get_origin(given), get_args(given)
    if origin in (Annotated, Union, UnionType):
        return _by_type(next(part for part in parts if part is not NoneType))
    if origin is Literal:
        return parts[0]
    if origin in (tuple, list):
        return [_by_type(parts[0])]
    if origin is dict:
        return {"name": _by_type(parts[1])}
    if isinstance(given, type) and issubclass(given, BaseModel):
        return {
            name: _by_type(field.annotation)
            for name, field in given.model_fields.items()
            if field.is_required()
        }
    return _BY_TYPE.get(given, "name")


def _yaml(value: Any) -> str:
    """A value in YAML's flow style, of long collections the beginning."""
    if isinstance(value, Mapping):
        inner = [f"{name}: {_yaml(one)}" for name, one in list(value.items())[:2]]
        return "{" + ", ".join(inner + ["..."] * (len(value) > 2)) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join([_yaml(one) for one in value[:3]] + ["..."] * (len(value) > 3)) + "]"
    if isinstance(value, bool | NoneType):
        return {True: "true", False: "false", None: "null"}[value]
    text = " ".join(str(value).split())
    return text if len(text) <= 48 else text[:45] + "..."


def _used() -> dict[str, Any]:
    """Key -> the first value that a shipped study gives it, wherever it stands."""
    found: dict[str, Any] = {}

    def walk(value: Any) -> None:
        if isinstance(value, Mapping):
            for key, one in value.items():
                if one is not None:
                    found.setdefault(str(key), one)
                walk(one)
        elif isinstance(value, list):
            for one in value:
                walk(one)

    for name in shipped_studies():
        walk(read_yaml(shipped_study(name)).data)
    return found


_USED = _used()


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|")


def write() -> None:
    """Write both files anew."""
    PAGE.write_text(page(), encoding="utf-8")
    SCHEMA_FILE.write_text(json.dumps(schema(), indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write()
