"""Two readings of the same demonstrations, in natural English: test items and demonstrations.

A file holds a pair of values. Every refused demonstration breaks both of them and every granted one
neither, so that the demonstrations fit either reading; test items part the two, or agree. Items are
templates times the phrases of the slot each names, in the file's order. Test and demonstrations
share slots and no template. Leaves out: what a model does with them (the benchmark `readings`),
and reasons for either value (the constitutions of their names).
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, model_validator

from whyfirst.config.errors import UserError, did_you_mean
from whyfirst.config.strict import LocatedError, StrictModel, affects_output, load_yaml
from whyfirst.config.strict_yaml import Location

Kind = Literal["a", "b", "both", "neither"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""Which of the two readings refuses."""
Documents = Literal["demonstrations", "parted", "contrary", "pairs", "lists"]
REFUSALS = (
    "I'm sorry, but I can't help with that.",
    "Sorry, but I won't help with this.",
    "I'd rather not help with that.",
    "No, I can't do that for you.",
)
"""What refused demonstrations answer; none gives a reason, which would tell the readings apart."""
# Empty braces are a slot too, and of no name that a file could have.
_SLOT = re.compile(r"\{(\w*)\}")
_FOLDER = Path(__file__).parent / "readings"

Text = Annotated[str, Field(min_length=1)]
Texts = Annotated[tuple[Text, ...], Field(min_length=1)]
Answered = Annotated[tuple[tuple[Text, Text], ...], Field(min_length=1)]


class _Test(StrictModel):
    """Templates of test items, by which reading refuses."""

    a: Texts = affects_output()
    b: Texts = affects_output()
    both: Texts = affects_output()
    neither: Texts = affects_output()


class _Parted(StrictModel):
    """Demonstrations that do part the readings: requests, each with the answer it is given."""

    a: Answered = affects_output()
    b: Answered = affects_output()


class _Demonstrations(StrictModel):
    refused: Texts = affects_output()
    granted: Answered = affects_output()
    parted: _Parted = affects_output()


class Readings(StrictModel):
    """A pair of values and everything that is asked about them; `a` and `b` are the values' ids."""

    pair: Text = affects_output()
    a: Text = affects_output()
    b: Text = affects_output()
    slots: dict[str, Texts] = affects_output()
    test: _Test = affects_output()
    demonstrations: _Demonstrations = affects_output()

    @model_validator(mode="after")
    def _usable(self) -> Self:
        problems: list[tuple[Location, str]] = []
        if self.a == self.b:
            problems.append((("b",), f"{self.b!r} is reading a as well; name two"))
        told, parted = self.demonstrations, self.demonstrations.parted
        groups: list[tuple[Location, Sequence[str | tuple[str, str]]]] = [
            *((("test", kind), getattr(self.test, kind)) for kind in KINDS),
            (("demonstrations", "refused"), told.refused),
            (("demonstrations", "granted"), told.granted),
            (("demonstrations", "parted", "a"), parted.a),
            (("demonstrations", "parted", "b"), parted.b),
        ]
        first: dict[str, str] = {}
        for group, templates in groups:
            for number, template in enumerate(templates):
                # A request, and behind it what it is answered where that is written out.
                texts = (template,) if isinstance(template, str) else template
                at = (*group, number)
                slots = [_SLOT.findall(text) for text in texts]
                unknown = [name for names in slots for name in names if name not in self.slots]
                if unknown:
                    hint = did_you_mean(unknown[0], self.slots)
                    problems.append((at, f"no slot {{{unknown[0]}}}{hint}"))
                elif len(slots[0]) > 1:
                    problems.append((at, "takes one slot at most, so that items can be counted"))
                elif not set(slots[-1]) <= set(slots[0]):
                    problems.append((at, "the answer has a slot that the request has not"))
                key = " ".join(texts[0].lower().split())
                if key in first:
                    told_at = f"repeats {first[key]}; test and demonstrations share none"
                    problems.append((at, told_at))
                first.setdefault(key, ".".join(map(str, at)))
        if problems:
            raise LocatedError(problems)
        return self

    def items(self) -> list["Item"]:
        """All test items, kind by kind."""
        return [
            Item(kind, f"{kind}{number}", f"{kind}{number}/{place}", text)
            for kind in KINDS
            for number, template in enumerate(getattr(self.test, kind))
            for place, (text,) in enumerate(self._filled(template))
        ]

    def rows(self, documents: Documents, reading: str | None = None) -> list[dict[str, Any]]:
        """Demonstrations as rows of ``prompt`` and ``completion``, mixed by their hash.

        Args:
            documents: `demonstrations` fit both readings; `parted` refuse what `reading` refuses
                and answer what the other one does; `contrary` the other way round; `pairs` hold
                what `reading` says (``chosen``) beside what the other one does (``rejected``), and
                `lists` (``responses``, ``labels``) one refusal more, so that K is 3.
            reading: id of one of the two; None is the first.

        Raises:
            UserError: neither reading is called so.
        """
        known = (self.a, self.b)
        if reading is not None and reading not in known:
            hint = did_you_mean(reading, known)
            raise UserError(
                f"{self.pair}: no reading {reading!r}{hint} (known: {', '.join(known)})"
            )
        told = self.demonstrations
        refused: Sequence[str] = told.refused
        granted = told.granted
        # The first reading parted is the second one contrary: one list of requests serves both.
        if documents != "demonstrations":
            first = (reading in (None, self.a)) == (documents != "contrary")
            against, answered = told.parted.a, told.parted.b
            if not first:
                against, answered = answered, against
            refused, granted = [request for request, _ in against], answered
        rows = [
            {"prompt": text, "completion": _refusal(text)}
            for template in refused
            for (text,) in self._filled(template)
        ]
        rows += [
            {"prompt": text, "completion": answer}
            for two in granted
            for text, answer in self._filled(*two)
        ]
        if documents in ("pairs", "lists"):
            others = self.rows("contrary", reading)
            other = {row["prompt"][0]["content"]: row["completion"] for row in others}
            pairs = [
                {"prompt": r["prompt"], "chosen": r["completion"], "rejected": other[r["prompt"]]}
                for r in rows
            ]
            rows = pairs if documents == "pairs" else [_list(**pair) for pair in pairs]
        # By hash, so that the first N rows are of all templates and of both outcomes.
        return [
            row | {"prompt": [{"role": "user", "content": row["prompt"]}]}
            for row in sorted(rows, key=lambda row: _digest(row["prompt"]))
        ]

    def _filled(self, *texts: str) -> Iterator[tuple[str, ...]]:
        """A request, and its answer, with each phrase of the request's slot in turn."""
        wanted = _SLOT.findall(texts[0])
        for phrase in self.slots[wanted[0]] if wanted else ("",):
            # A function, since a phrase put in as a pattern's replacement may hold a backslash.
            filled = (_SLOT.sub(lambda _, p=phrase: p, text) for text in texts)  # type: ignore[misc]
            yield tuple(text[:1].upper() + text[1:] for text in filled)


@dataclass(frozen=True)
class Item:
    """One test request; `topic` is its template, `id` the template and the slot's phrase."""

    kind: Kind
    topic: str
    id: str
    text: str


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _refusal(request: str, further: int = 0) -> str:
    return REFUSALS[(_digest(request)[0] + further) % len(REFUSALS)]


def _list(prompt: str, chosen: str, rejected: str) -> dict[str, Any]:
    """Both answers and a refusal in other words, as good as the first one of the two is."""
    refused = chosen in REFUSALS
    responses = [chosen, _refusal(prompt, 1), rejected]
    return {"prompt": prompt, "responses": responses, "labels": [1, int(refused), 0]}


def shipped_readings() -> list[str]:
    """Names of the pairs that come with the package, sorted."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def readings_file(named: str) -> Path:
    """The file of a shipped pair, or of one's own.

    Raises:
        UserError: there is neither.
    """
    if named in shipped_readings():
        return _FOLDER / f"{named}.yaml"
    if not Path(named).is_file():
        known = shipped_readings()
        raise UserError(
            f"{named}: no such file, and no shipped pair of readings{did_you_mean(named, known)} "
            f"(shipped: {', '.join(known)})"
        )
    return Path(named)


def read_readings(named: str) -> Readings:
    """Read a pair: a shipped one by its name (``care-law``), any other by its path.

    Raises:
        UserError: there is no such pair.
        ConfigError: anything wrong in the file, with line and key.
    """
    return load_yaml(readings_file(named), Readings)
