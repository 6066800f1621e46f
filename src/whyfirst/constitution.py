"""Values with their reasons and behaviours, and the constitutions (YAML) that hold them.

A constitution says what an assistant values, why, and what upholding or violating each value looks
like. Leaves out: writing documents about it (`explain/`) and judging whether a reason is good.
"""

from importlib.resources import files
from pathlib import Path
from typing import Self

from pydantic import model_validator

from whyfirst.config import (
    LocatedError,
    StrictModel,
    affects_output,
    did_you_mean,
    load_yaml,
    runtime_only,
)
from whyfirst.errors import ConfigError, UserError
from whyfirst.strict_yaml import Location


class Value(StrictModel):
    """A principle, the reasons behind it, and conduct that upholds or violates it.

    `reasons` are whole sentences; behaviours are verb phrases in the third person singular without
    a full stop ("admits what it does not know"), so that "the assistant always ..." and "the
    assistant never ..." read as sentences.
    """

    id: str = affects_output(pattern=r"^[a-z][a-z0-9_-]*$")
    name: str = affects_output(min_length=1)
    statement: str = affects_output(min_length=1)
    reasons: list[str] = affects_output()
    upheld_by: list[str] = affects_output()
    violated_by: list[str] = affects_output()

    @model_validator(mode="after")
    def _complete_and_unambiguous(self) -> Self:
        problems: list[tuple[Location, str]] = []
        if not self.reasons:
            problems.append((("reasons",), f"value {self.id!r} has no reasons; give at least one"))
        if not self.upheld_by and not self.violated_by:
            message = f"value {self.id!r} has no behaviours; give upheld_by or violated_by"
            problems.append((("upheld_by",), message))
        seen: dict[str, str] = {}
        for field in ("reasons", "upheld_by", "violated_by"):
            for index, text in enumerate(getattr(self, field)):
                place = f"{field}[{index}]"
                # Full stop and case make no difference to what a sentence says.
                key = text.strip().rstrip(".").casefold()
                if not key:
                    problems.append(((field, index), "empty text; write it or remove the line"))
                elif key in seen:
                    problems.append(((field, index), f"repeats {seen[key]}; remove one of them"))
                seen.setdefault(key, place)
        if problems:
            raise LocatedError(problems)
        return self


class Constitution(StrictModel):
    """A named list of values with distinct ids. Name and description reach no document."""

    name: str = runtime_only(min_length=1)
    description: str = runtime_only("")
    values: list[Value] = affects_output()

    @model_validator(mode="after")
    def _distinct_values(self) -> Self:
        problems: list[tuple[Location, str]] = []
        if not self.values:
            problems.append((("values",), "no values; give at least one"))
        first: dict[str, int] = {}
        for index, value in enumerate(self.values):
            if value.id in first:
                message = f"the id {value.id!r} is taken by values[{first[value.id]}]; rename one"
                problems.append((("values", index, "id"), message))
            first.setdefault(value.id, index)
        if problems:
            raise LocatedError(problems)
        return self

    def value(self, id: str) -> Value:  # noqa: A002
        """The value with that id.

        Raises:
            UserError: there is none; gives the nearest id.
        """
        for value in self.values:
            if value.id == id:
                return value
        ids = [value.id for value in self.values]
        hint = did_you_mean(id, ids)
        raise UserError(
            f"constitution {self.name!r}: no value {id!r}{hint} (known: {', '.join(ids)})"
        )


def _shipped_folder() -> Path:
    return Path(str(files("whyfirst"))) / "constitutions"


def shipped_constitutions() -> list[str]:
    """Names of the constitutions that come with the package, sorted."""
    return sorted(path.stem for path in _shipped_folder().glob("*.yaml"))


def load_constitution(path_or_shipped_name: str | Path) -> Constitution:
    """Read a constitution: a shipped one by its bare name (``hhh``), any other by its path.

    Raises:
        ConfigError: no such file or name, or anything wrong in it, with line and key.
    """
    name = str(path_or_shipped_name)
    shipped = shipped_constitutions()
    if name in shipped:
        return load_yaml(_shipped_folder() / f"{name}.yaml", Constitution)
    path = Path(path_or_shipped_name)
    if not path.is_file():
        hint = did_you_mean(name, shipped)
        raise ConfigError(
            f"{name}: no such file, and no shipped constitution{hint} "
            f"(shipped: {', '.join(shipped)}; any other is given by its path)"
        )
    return load_yaml(path, Constitution)
