"""The template teacher's grammar and the neutral control's crafts, read from their YAML files.

Leaves out: filling it (`template.py`).
"""

from functools import cache
from pathlib import Path
from typing import Self

from pydantic import model_validator

from whyfirst.config.strict import LocatedError, StrictModel, affects_output, load_yaml
from whyfirst.constitution import Value


class Grammar(StrictModel):
    """Genres (name -> skeletons) and the phrases that fill them.

    `phrases`, `audiences`, `stances` and `angles` map a name to its alternatives; genres in
    `insider` are written by people who know the constitution and may cite it.
    """

    names: list[str] = affects_output(min_length=2)
    insider: list[str] = affects_output()
    phrases: dict[str, list[str]] = affects_output()
    audiences: dict[str, list[str]] = affects_output()
    stances: dict[str, list[str]] = affects_output()
    angles: dict[str, list[str]] = affects_output()
    genres: dict[str, list[str]] = affects_output()


class Craft(Value):
    """A subject of the neutral corpus: a value's form, acted by somebody of that trade."""

    subject: str = affects_output(min_length=1)


class Crafts(StrictModel):
    """All subjects of the neutral corpus."""

    crafts: list[Craft] = affects_output(min_length=2)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        # Crafts are held to what constitutions are: they stand in for values.
        found = enumerate(craft.problems() for craft in self.crafts)
        problems = [(("crafts", i, *at), text) for i, listed in found for at, text in listed]
        if problems:
            raise LocatedError(problems)
        return self


@cache
def grammar() -> Grammar:
    """The grammar that comes with the package (``genres.yaml``)."""
    return load_yaml(Path(__file__).with_name("genres.yaml"), Grammar)


@cache
def crafts() -> tuple[Craft, ...]:
    """The subjects of the neutral corpus (``neutral.yaml``)."""
    return tuple(load_yaml(Path(__file__).with_name("neutral.yaml"), Crafts).crafts)
