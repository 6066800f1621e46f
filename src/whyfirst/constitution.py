"""Values with their reasons and behaviours, and the constitutions (YAML) that hold them.

A constitution says what an assistant values, why, what upholding or violating each value looks
like, which value wins where two conflict, and what to do in cases at the boundary. Leaves out:
writing documents about it (`explain/`) and judging whether a reason is good.
"""

from importlib.resources import files
from pathlib import Path
from typing import Any, Self

from pydantic import model_validator

from whyfirst.config.errors import ConfigError, UserError, did_you_mean
from whyfirst.config.strict import (
    LocatedError,
    StrictModel,
    affects_output,
    load_yaml,
    runtime_only,
)
from whyfirst.config.strict_yaml import Location


class Conflict(StrictModel):
    """Two values that can't both be served, and which one wins.

    `when` is a clause that follows "when" ("the truth would hurt"); `because` is a whole sentence.
    """

    against: str = affects_output(min_length=1, description="id of the other value")
    wins: str = affects_output(min_length=1, description="id of the value that wins, one of both")
    when: str = affects_output(min_length=1, description='a clause that follows "when"')
    because: str = affects_output(min_length=1, description="why, as a whole sentence")


class BoundaryCase(StrictModel):
    """A case at the edge of a value, and what is done in it.

    `case` is a clause that follows "when", `conduct` a verb phrase like any behaviour, `because` a
    whole sentence.
    """

    case: str = affects_output(min_length=1, description='a clause that follows "when"')
    conduct: str = affects_output(
        min_length=1, description='a verb phrase that follows "the assistant"'
    )
    because: str = affects_output(min_length=1, description="why, as a whole sentence")


class Example(StrictModel):
    """An example of a published specification, kept as it stands there."""

    title: str = runtime_only("")
    text: str = runtime_only("")


class Source(StrictModel):
    """Where an imported value comes from; kept for its reader, reaches no document.

    `normative` are the section's own sentences that say must, should, never and the like;
    `references` the ids of the sections it refers to, in order.
    """

    line: int = runtime_only(ge=1)
    headings: list[str] = runtime_only([])
    normative: list[str] = runtime_only([])
    examples: list[Example] = runtime_only([])
    references: list[str] = runtime_only([])


#: how a text begins that an import left for a person to write
FILL = "FILL:"
_UNFILLED = f"still marked {FILL}; write it or remove the line"


class Value(StrictModel):
    """A principle, the reasons behind it, and conduct that upholds or violates it.

    `reasons` are whole sentences; behaviours are verb phrases in the third person singular without
    a full stop ("admits what it does not know"), so that "the assistant always ..." and "the
    assistant never ..." read as sentences.
    """

    id: str = affects_output(
        pattern=r"^[a-z][a-z0-9_-]*$", description="small letters, digits, - and _"
    )
    name: str = affects_output(min_length=1, description="a noun, as a heading")
    statement: str = affects_output(min_length=1, description="what, as a sentence; not why")
    reasons: list[str] = affects_output(description="why: whole sentences, one idea each")
    upheld_by: list[str] = affects_output(description="verb phrases: conduct that serves the value")
    violated_by: list[str] = affects_output(description="verb phrases: conduct that breaks it")
    conflicts: list[Conflict] = affects_output([], description="with other values, and which wins")
    boundaries: list[BoundaryCase] = affects_output([], description="cases at the value's edge")
    source: Source | None = runtime_only(None, description="written by `whyfirst values import`")

    def problems(self) -> list[tuple[Location, str]]:
        """What is missing, empty or said twice in it, each at its place.

        Whoever holds values asks for this, so that all mistakes of a file are told at once.
        """
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
                if text.startswith(FILL):
                    problems.append(((field, index), _UNFILLED))
                elif not key:
                    problems.append(((field, index), "empty text; write it or remove the line"))
                elif key in seen:
                    problems.append(((field, index), f"repeats {seen[key]}; remove one of them"))
                # Also of an unfilled or empty text, so that each mistake is told once and not
                # twice.
                seen.setdefault(key, place)
        if self.statement.startswith(FILL):
            problems.append((("statement",), _UNFILLED))
        for index, conflict in enumerate(self.conflicts):
            problems += _conflict_problems(self.id, conflict, ("conflicts", index))
        return problems


def _conflict_problems(own: str, conflict: Conflict, at: Location) -> list[tuple[Location, str]]:
    if conflict.against == own:
        return [((*at, "against"), f"value {own!r} can't conflict with itself; name another value")]
    if conflict.wins not in (own, conflict.against):
        both = f"{own!r} or {conflict.against!r}"
        return [((*at, "wins"), f"{conflict.wins!r} is not part of this conflict; give {both}")]
    return []


class Constitution(StrictModel):
    """A named list of values with distinct ids. Name and description reach no document."""

    name: str = runtime_only(min_length=1)
    description: str = runtime_only("")
    values: list[Value] = affects_output()

    @model_validator(mode="after")
    def _complete_and_distinct(self) -> Self:
        problems: list[tuple[Location, str]] = []
        if not self.values:
            problems.append((("values",), "no values; give at least one"))
        first: dict[str, int] = {}
        for index, value in enumerate(self.values):
            if value.id in first:
                message = f"the id {value.id!r} is taken by values[{first[value.id]}]; rename one"
                problems.append((("values", index, "id"), message))
            first.setdefault(value.id, index)
            # All values of a file are asked: one mistake at a time would be a day of mending.
            problems += [(("values", index, *at), text) for at, text in value.problems()]
        problems += self._conflict_problems(list(first))
        if problems:
            raise LocatedError(problems)
        return self

    def _conflict_problems(self, ids: list[str]) -> list[tuple[Location, str]]:
        """Unknown values, and the conflict that closes a cycle of winners."""
        problems: list[tuple[Location, str]] = []
        beats: dict[str, list[str]] = {name: [] for name in ids}
        for v, value in enumerate(self.values):
            for c, conflict in enumerate(value.conflicts):
                at: Location = ("values", v, "conflicts", c)
                # An unknown value has no place among the winners, so the rest isn't asked of it.
                if conflict.against not in beats:
                    hint = did_you_mean(conflict.against, ids)
                    message = f"no value {conflict.against!r}{hint} (known: {', '.join(ids)})"
                    problems.append(((*at, "against"), message))
                    continue
                if _conflict_problems(value.id, conflict, at):
                    continue  # told with its value
                winner = conflict.wins
                loser = conflict.against if winner == value.id else value.id
                # Closing a chain that leads from the loser back to the winner would make
                # everything beat everything: a conflict could then never be settled.
                if back := _path(beats, loser, winner):
                    cycle = " over ".join(repr(name) for name in [winner, *back])
                    message = f"the winners go round in a circle ({cycle}); turn one of them"
                    problems.append(((*at, "wins"), message))
                else:
                    beats[winner].append(loser)
        return problems

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


def _path(beats: dict[str, list[str]], start: str, end: str) -> list[str]:
    """Values from `start` to `end`, each beating the next; empty if there is no such chain."""
    came: dict[str, str | None] = {start: None}
    # Not by recursion: a constitution may have a thousand values in one chain.
    waiting = [start]
    while waiting:
        here = waiting.pop()
        if here == end:
            chain: list[str] = []
            step: str | None = here
            while step is not None:
                chain.append(step)
                step = came[step]
            return chain[::-1]
        for loser in beats[here]:
            if loser not in came:
                came[loser] = here
                waiting.append(loser)
    return []


def constitution_schema() -> dict[str, Any]:
    """The JSON schema of a constitution, for editors; ships as ``constitution.schema.json``."""
    schema = _without_declarations(Constitution.model_json_schema())
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "whyfirst constitution",
        **{key: value for key, value in schema.items() if key != "title"},
    }


def _without_declarations(schema: Any) -> Any:
    """Without the fingerprint's declarations, which mean nothing to an editor."""
    if isinstance(schema, dict):
        # A property called "affects" would be a mapping and stays.
        kept = {k: v for k, v in schema.items() if not (k == "affects" and isinstance(v, str))}
        return {key: _without_declarations(value) for key, value in kept.items()}
    return [_without_declarations(s) for s in schema] if isinstance(schema, list) else schema


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
    # A shipped name comes first; a file of the same name is given as ./name.
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
