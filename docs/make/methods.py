"""Writes docs/methods.md: every method that can be named, from the rooms' own entries.

``python docs/make/methods.py``; a test fails when the page is stale, or when a line of it is no
valid part of a study file. Leaves out: methods from outside (plug-ins, installed packages).
"""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from gallery_results import results

from whyfirst.cli.inventory import ROOMS
from whyfirst.config.room import Entry, Option, Room, Use

PAGE = Path(__file__).parents[1] / "methods.md"
KINDS = ROOMS | {
    "kinds": ("whyfirst.train.kinds", "KINDS"),
    "benchmarks": ("whyfirst.evaluate.benchmark", "BENCHMARKS"),
    "scorers": ("whyfirst.evaluate.scorers", "SCORERS"),
}
#: room -> (title, how a line of it stands in a study file, that line's place)
TITLES = {
    "kinds": ("Stages", "train: {}", "stages.NAME"),
    "objectives": ("Objectives", "objective: {}", "stages.NAME.train, kind `prefer`"),
    "rewards": ("Rewards", "rewards: [{}]", "stages.NAME.train, kinds `rloo`, `grpo`, `ppo`"),
    "surgeries": ("Surgeries", "surgery: {}", "stages.NAME.train, kind `recover`"),
    "edits": ("Edits", "edits: [{}]", "arms.NAME"),
    "decodings": ("Decodings", "decoding: [{}]", "arms.NAME"),
    "corpora": ("Corpus sources", "NAME: {}", "corpora"),
    "generators": ("Generators", "generator: {}", "corpora.NAME, source `generated`"),
    "transforms": ("Transforms", "transforms: [{}]", "corpora.NAME"),
    "selectors": ("Selectors", "select: {}", "corpora.NAME"),
    "benchmarks": ("Benchmarks", "{}", "benchmarks"),
    "attacks": ("Attacks", "framings: [{}]", "benchmarks.NAME"),
    "scorers": ("Scorers", "judges: [{}]", "benchmarks.NAME"),
    "judges": ("Judges", "judge: {}", "comparisons"),
    "calibrations": ("Calibrations", "calibrations: [{}]", "comparisons"),
    "reproductions": ("Reproductions", "{}", "`whyfirst judge reproduce`"),
    "probes": ("Probes", "probes: [{}]", "probe"),
    "worlds": ("Worlds", "world: {}", "the file itself"),
}
#: option -> what ships under that name, or what a study would call it
SHIPPED = {
    "documents": ["demonstrations"],
    "constitution": ["hhh"],
    "pair": ["care-law"],
    "written": ["values"],
    "prompts": ["texts"],
    "rules": [["NAME -> NAME"]],
}
HEAD = """# Methods

Everything that can be named, from the methods' own entries: made by `python docs/make/methods.py`;
change those and not this page. Options that must be given stand in the line, with values of the
right type; the others and their defaults: `whyfirst list KIND`. A transform that *streams* holds
one row at a time, whatever the corpus. *Held to* is the identity or
hand-computed value that a method's tests hold it to. *Result* is what the galleries' committed
reports say, in points with 95 % intervals, before any correction for their number; nearly all are
of one small invented world, so read [galleries.md](galleries.md) first. How to add one:
[extending.md](extending.md).
"""


def room_of(kind: str) -> Room[Any]:
    """The room called so."""
    module, name = KINDS[kind]
    found: Room[Any] = getattr(import_module(module), name)
    return found


def entries(kind: str) -> list[Entry[Any]]:
    """The project's own methods of a kind, by name."""
    own = room_of(kind).entries()
    return [entry for entry in own if entry.function.__module__.startswith("whyfirst.")]


def example(kind: str, entry: Entry[Any], option: Option) -> Any:
    """A value that the room has nothing against for a required option.

    Raises:
        ValueError: none of the candidates is one.
    """
    room = room_of(kind)
    for value in (*SHIPPED.get(option.name, ()), *_values(option.type)):
        use = Use.model_validate({"name": entry.name, option.name: value})
        if (option.name,) not in {at[:1] for at, _ in room.problems(use)}:
            return value
    raise ValueError(f"{kind}: no example of {entry.name}.{option.name}: {option.type}")


def _values(given: Any) -> Iterator[Any]:
    """Candidates, the members of a `Literal` first."""
    if get_origin(given) is Literal:
        yield from get_args(given)
    for part in get_args(given):
        room = getattr(getattr(part, "func", None), "__self__", None)  # of an option that is a use
        yield from room.names() if isinstance(room, Room) else ()
        yield from _values(part)
        yield from ([value] for value in ("NAME", 1, 0.5) if get_origin(given) in (tuple, list))
    yield from ("NAME", 1, 0.5, {"NAME": 1})


def named(kind: str, entry: Entry[Any]) -> dict[str, Any]:
    """What a study file says of a method, with all that must be given."""
    if kind != "kinds":
        first = "source" if kind == "corpora" else "name"
        required = {o.name: example(kind, entry, o) for o in entry.options if o.required}
        if kind == "selectors":
            required["n"] = 100
        if entry.conflicts is not None:
            use = Use.model_validate({"name": entry.name, **required})
            wanted = {at[0] for at, _ in room_of(kind).problems(use)}  # one of several
            required |= {o.name: example(kind, entry, o) for o in entry.options if o.name in wanted}
        if "check" in entry.facts:
            use = Use.model_validate({"name": entry.name, **required})
            found = entry.facts["check"](room_of(kind).filled(use).model_dump(), None)
            told = " ".join(said for _, said in found)  # what one of several options must be given
            required |= {"size": 100} if "size" in told else {}
            required |= {"rewards": ["length"]} if "rewards" in told else {}
        return {first: entry.name} | required
    surgery = next(iter(room_of("surgeries").names()), "NAME")
    values = {"objective": "dpo", "rewards": ["length"], "surgery": surgery}
    fields = room_of(kind).make(entry.name).config.model_fields
    required = [name for name, field in fields.items() if field.is_required()]
    length = {} if entry.name == "recover" else {"updates": 100}
    return {"kind": entry.name} | {name: values[name] for name in required} | length


def line(kind: str, entry: Entry[Any]) -> str:
    """The line that names a method in a study file."""
    given = named(kind, entry)
    if kind == "benchmarks":
        given.pop("name")
        return f"{entry.name}: {_yaml(given)}"
    if kind == "scorers":  # named in one word
        return TITLES[kind][1].format(":".join(map(str, given.values())))
    alone = len(given) == 1 and kind not in ("kinds", "corpora")
    return TITLES[kind][1].format(entry.name if alone else _yaml(given))


def _yaml(value: Any) -> str:
    """A value in YAML's flow style."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_yaml(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_yaml, value)) + "]"
    return str(value)


def page() -> str:
    """The whole page."""
    parts, found = [HEAD], results()
    for kind, (title, _, where) in TITLES.items():
        parts.append(f"## {title}\n\nStands under {where}.\n")
        parts.append("| in a study file | is | paper | needs | held to | leaves out | result |")
        parts.append("|---|---|---|---|---|---|---|")
        for entry in entries(kind):
            streams = "; streams" if entry.facts.get("streams") else ""
            said = (f"`{line(kind, entry)}`", entry.summary, entry.paper, entry.needs + streams,
                    entry.tested, entry.leaves_out, found.get((kind, entry.name), ""))  # fmt: skip
            parts.append("| " + " | ".join(_cell(text) for text in said) + " |")
        parts.append("")
    return "\n".join(parts)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
