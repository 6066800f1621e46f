"""The plan of a corpus: domains, subdomains, assertions, document types and ideas, then cells.

Each level is a YAML file that a person can edit; an entry taken out, or kept with ``keep: false``,
prunes everything below it before a document is asked for. A cell is one combination that one
document fills. Cells are dealt like cards, the least covered behaviour and genre first, so that
coverage is known in advance. A model may be asked for domains, subdomains and ideas, level by
level; assertions come from the constitution and document types from the grammar. Leaves out: asking
for documents.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, TypeVar

from whyfirst.config.errors import ConfigError, UserError, did_you_mean
from whyfirst.config.files import atomic_write, sha256_json
from whyfirst.config.strict import (
    StrictModel,
    affects_output,
    load_yaml,
    runtime_only,
)
from whyfirst.constitution import Constitution, Value
from whyfirst.explain.grammar import grammar
from whyfirst.explain.lists import ask_lists
from whyfirst.models.base import Chat, LanguageModel, Sampling, asked

#: angles and how many of twelve documents take each; where a value has no conflict or boundary case
#: its documents trace consequences instead
ANGLES = {
    "plain": 3, "role_play": 1, "authority": 1, "urgency": 1, "flattery": 1,
    "consequences": 2, "conflict": 2, "boundary": 1,
}  # fmt: skip


class Domain(StrictModel):
    """A setting in which values come up naturally."""

    id: str = affects_output(min_length=1)
    name: str = affects_output(min_length=1)
    keep: bool = affects_output(True)


class Subdomain(StrictModel):
    """A place within a domain, and somebody who is there.

    `place` reads after "was", with its preposition; `who` with its article; `doing` is an
    "-ing" phrase.
    """

    id: str = affects_output(min_length=1)
    domain: str = affects_output(min_length=1)
    name: str = affects_output(min_length=1)
    place: str = affects_output(min_length=1)
    who: str = affects_output(min_length=1)
    doing: str = affects_output(min_length=1)
    keep: bool = affects_output(True)


class Assertion(StrictModel):
    """A behaviour of a value: what documents are to show."""

    value: str = affects_output(min_length=1)
    behaviour: str = affects_output(min_length=1)
    upheld: bool = affects_output()
    keep: bool = affects_output(True)


class Idea(StrictModel):
    """What happens in a document, in a sentence; `subdomain` is where."""

    subdomain: str = affects_output(min_length=1)
    text: str = affects_output(min_length=1)
    keep: bool = affects_output(True)


class Domains(StrictModel):
    """``domains.yaml``"""

    domains: list[Domain] = affects_output(min_length=1)


class Subdomains(StrictModel):
    """``subdomains.yaml``"""

    subdomains: list[Subdomain] = affects_output(min_length=1)


class Assertions(StrictModel):
    """``assertions.yaml``"""

    assertions: list[Assertion] = affects_output(min_length=1)


class Types(StrictModel):
    """``types.yaml``: what documents there are, for whom and by whom."""

    genres: list[str] = affects_output(min_length=1)
    audiences: list[str] = affects_output(min_length=1)
    stances: list[str] = affects_output(min_length=1)
    angles: dict[str, int] = affects_output(min_length=1, description="shares, as whole numbers")


class Ideas(StrictModel):
    """``ideas.yaml``"""

    ideas: list[Idea] = affects_output(min_length=1)


LEVELS: dict[str, type[StrictModel]] = {
    kind.__name__.lower(): kind for kind in (Domains, Subdomains, Assertions, Types, Ideas)
}


class Settings(StrictModel):
    """The shipped domains, subdomains and occasions (``settings.yaml``)."""

    domains: list[Domain] = runtime_only()
    subdomains: list[Subdomain] = runtime_only()
    occasions: list[str] = runtime_only()


@dataclass(frozen=True)
class Plan:
    """What is left of every level after pruning."""

    assertions: tuple[Assertion, ...]
    types: Types
    subdomains: tuple[Subdomain, ...]
    ideas: tuple[Idea, ...]

    def subdomain(self, id: str) -> Subdomain:  # noqa: A002
        """The subdomain of that id."""
        return next(subdomain for subdomain in self.subdomains if subdomain.id == id)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of all that cells depend on besides constitution and seed."""
        levels = (self.assertions, self.subdomains, self.ideas)
        # Of what is left after pruning: an edit of what was pruned anyway changes no document.
        parts = [[entry.model_dump() for entry in level] for level in levels]
        return sha256_json([parts, self.types.model_dump()])


@cache
def shipped_settings() -> Settings:
    """The domains, subdomains and occasions that come with the package."""
    return load_yaml(Path(__file__).with_name("settings.yaml"), Settings)


def shipped_levels(
    constitution: Constitution, value_ids: Sequence[str] | None = None
) -> dict[str, StrictModel]:
    """Every level without asking anyone: shipped settings, the constitution's behaviours.

    Raises:
        UserError: a value id the constitution doesn't have.
    """
    settings = shipped_settings()
    values = constitution.values
    if value_ids is not None:
        values = [constitution.value(name) for name in value_ids]
    ideas = [Idea(subdomain=s.id, text=o) for s in settings.subdomains for o in settings.occasions]
    known = grammar()
    return {
        "domains": Domains(domains=settings.domains),
        "subdomains": Subdomains(subdomains=settings.subdomains),
        "assertions": Assertions(assertions=[a for value in values for a in assertions_of(value)]),
        "types": Types(
            genres=sorted(known.genres), audiences=sorted(known.audiences),
            stances=sorted(known.stances), angles=ANGLES,
        ),
        "ideas": Ideas(ideas=ideas),
    }  # fmt: skip


def assertions_of(value: Value) -> list[Assertion]:
    """A value's behaviours, the serving ones first."""
    return [Assertion(value=value.id, behaviour=b, upheld=True) for b in value.upheld_by] + [
        Assertion(value=value.id, behaviour=b, upheld=False) for b in value.violated_by
    ]


def save_levels(levels: Mapping[str, StrictModel], folder: Path) -> None:
    """Write one YAML file a level."""
    import yaml

    for name, level in levels.items():
        text = f"# {name}: take an entry out, or set keep: false, to prune all that is below it.\n"
        data = level.model_dump()
        text += yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100)
        atomic_write(folder / f"{name}.yaml", text)


def load_plan(folder: Path, constitution: Constitution) -> Plan:
    """Read an edited plan.

    Raises:
        ConfigError: a level is missing or wrong, or refers to what isn't there (names it).
    """
    levels = {name: load_yaml(folder / f"{name}.yaml", model) for name, model in LEVELS.items()}
    known, types = grammar(), _level(levels, Types)
    below, ideas = _level(levels, Subdomains).subdomains, _level(levels, Ideas).ideas
    domains = [d.id for d in _level(levels, Domains).domains]
    wanted: list[tuple[str, str, Iterable[str], Iterable[str]]] = [
        ("subdomains", "domain", {s.domain for s in below}, domains),
        ("ideas", "subdomain", {i.subdomain for i in ideas}, [s.id for s in below]),
        ("types", "genre", types.genres, known.genres),
        ("types", "audience", types.audiences, known.audiences),
        ("types", "stance", types.stances, known.stances),
        ("types", "angle", types.angles, known.angles),
    ]
    for file, what, used, there in wanted:
        for name in sorted(set(used) - set(there)):
            hint = did_you_mean(name, there)
            raise ConfigError(f"{folder / file}.yaml: no {what} {name!r}{hint}")
    behaviours = [(a.value, a.upheld, a.behaviour) for a in _level(levels, Assertions).assertions]
    for file, listed in (
        ("domains", domains), ("subdomains", [s.id for s in below]), ("assertions", behaviours)
    ):  # fmt: skip
        twice = [one for one, count in Counter[Any](listed).items() if count > 1]
        if twice:
            raise ConfigError(f"{folder / file}.yaml: {twice[0]!r} is there twice; keep one")
    if min(types.angles.values()) < 0 or not sum(types.angles.values()):
        raise ConfigError(f"{folder / 'types'}.yaml: angles need shares of 0 or more, one above 0")
    for assertion in _level(levels, Assertions).assertions:
        try:
            value = constitution.value(assertion.value)
        except UserError as error:
            raise ConfigError(f"{folder / 'assertions'}.yaml: {error}") from None
        side = value.upheld_by if assertion.upheld else value.violated_by
        if assertion.behaviour not in side:
            raise ConfigError(
                f"{folder / 'assertions'}.yaml: value {value.id!r} has no behaviour "
                f"{assertion.behaviour!r} on that side; change the constitution first"
            )
    return pruned(levels)


def pruned(levels: Mapping[str, StrictModel]) -> Plan:
    """What a plan's levels leave.

    Raises:
        ConfigError: nothing is left of a level.
    """
    # From the top down: what hangs on a pruned entry goes with it.
    domains = {d.id for d in _level(levels, Domains).domains if d.keep}
    subdomains = tuple(
        s for s in _level(levels, Subdomains).subdomains if s.keep and s.domain in domains
    )
    places = {s.id for s in subdomains}
    ideas = tuple(i for i in _level(levels, Ideas).ideas if i.keep and i.subdomain in places)
    assertions = tuple(a for a in _level(levels, Assertions).assertions if a.keep)
    # Without one of either no cell can be dealt, and dealing would wait for ever.
    for name, left in (("assertions", assertions), ("ideas", ideas)):
        if not left:
            raise ConfigError(f"the plan has no {name} left; keep at least one")
    return Plan(assertions, _level(levels, Types), subdomains, ideas)


L = TypeVar("L", bound=StrictModel)


def _level(levels: Mapping[str, StrictModel], kind: type[L]) -> L:
    level = levels[kind.__name__.lower()]
    assert isinstance(level, kind)
    return level


_SAMPLING = Sampling(max_new_tokens=4096, temperature=0.8)


def plan_with(
    model: LanguageModel,
    constitution: Constitution,
    folder: Path,
    value_ids: Sequence[str] | None = None,
    *,
    domains: int = 8,
    subdomains: int = 4,
    ideas: int = 6,
) -> dict[str, StrictModel]:
    """Every level, each written to `folder` before the next is asked for.

    A level whose file is there already is read instead, so that an edited or interrupted plan is
    continued.

    Raises:
        UserError: the model gives no usable list, or an unknown value id.
        ConfigError: a level's file has an error.
    """
    # Behaviours are the constitution's to say and document types the grammar's: no model is asked.
    levels = dict(shipped_levels(constitution, value_ids))
    save_levels({k: levels[k] for k in ("assertions", "types")
                 if not (folder / f"{k}.yaml").is_file()}, folder)  # fmt: skip

    def rows(
        what: str, keys: tuple[str, ...], count: int, questions: Sequence[str]
    ) -> list[list[dict[str, str]]]:
        """What the model names, a list for each question."""
        form = json.dumps([dict.fromkeys(keys, "…")], ensure_ascii=False)
        prompts: list[Chat] = [
            asked(f"{question}\nGive {count}, all different, as JSON and nothing else: {form}")
            for question in questions
        ]
        return [some[:count] for some in ask_lists(model, prompts, keys, _SAMPLING, what)]

    def level(kind: type[L], ask: Callable[[], L]) -> L:
        """A level as its file has it; asked for where there is none."""
        name = kind.__name__.lower()
        if not (folder / f"{name}.yaml").is_file():
            save_levels({name: ask()}, folder)
        read = load_yaml(folder / f"{name}.yaml", kind)
        levels[name] = read
        return read

    chosen = constitution.values if value_ids is None else map(constitution.value, value_ids)
    values = "; ".join(f"{v.name}: {v.statement}" for v in chosen)
    settings = level(Domains, lambda: Domains(domains=[
        Domain(id=f"d{i}", name=row["name"])
        for i, row in enumerate(rows("domains", ("name",), domains, [
            f"An assistant has these values. {values}\nName settings of human life in which they "
            "come up naturally, as short noun phrases."
        ])[0], start=1)
    ]))  # fmt: skip
    # What a person has pruned is asked nothing about.
    kept = [d for d in settings.domains if d.keep]
    below = level(Subdomains, lambda: Subdomains(subdomains=[
        Subdomain.model_validate({"id": f"{d.id}s{i}", "domain": d.id, **row})
        for d, some in zip(kept, rows("subdomains", ("name", "place", "who", "doing"), subdomains, [
            f"Domain: {d.name}. Name places within it. For each: a short name; the place as it "
            'follows "she was" (such as "in a hospital ward"); who is there (such as "a night '
            'nurse"); and what that person is doing (such as "checking the list").'
            for d in kept
        ]), strict=True)
        for i, row in enumerate(some, start=1)
    ]))  # fmt: skip
    places = [s for s in below.subdomains if s.keep and s.domain in {d.id for d in kept}]
    level(Ideas, lambda: Ideas(ideas=[
        Idea(subdomain=s.id, text=row["text"])
        for s, some in zip(places, rows("ideas", ("text",), ideas, [
            f"Place: {s.name}, {s.place}; {s.who}, {s.doing}. Name occasions on which something "
            "worth telling happens there, each in one short sentence, without names or dates."
            for s in places
        ]), strict=True)
        for row in some
    ]))  # fmt: skip
    return levels
