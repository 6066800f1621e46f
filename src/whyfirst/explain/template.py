"""The template teacher: explanations for any constitution, and their controls, from a grammar.

Document number i of every corpus with one seed has the same genre and skeleton; the explanations,
the rules and the shuffled corpus also share its behaviour. They differ only in what is given as
grounds, so that an arm's effect can be put down to the reasons. Deterministic; document i does not
depend on how many are asked for. Leaves out: fluency a language model would bring, and matching the
corpora in tokens (`match.py`).
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Literal, TypeVar

from whyfirst.config import StrictModel, affects_output, load_yaml, output_fields
from whyfirst.constitution import Constitution, Value
from whyfirst.errors import UserError
from whyfirst.explain.explanation import Explanation
from whyfirst.files import sha256_json

Corpus = Literal["explanations", "rules", "shuffled", "neutral"]

TEACHER = "template"
VERSION = "1"  # raise it when the code below writes other documents from the same grammar


class Grammar(StrictModel):
    """Genres (name -> skeletons), phrases (symbol -> alternatives) and people's names."""

    names: list[str] = affects_output(min_length=2)
    phrases: dict[str, list[str]] = affects_output()
    genres: dict[str, list[str]] = affects_output()


class Craft(Value):
    """A subject of the neutral corpus: a value's form, acted by somebody of that trade."""

    subject: str = affects_output(min_length=1)


class Crafts(StrictModel):
    """All subjects of the neutral corpus."""

    crafts: list[Craft] = affects_output(min_length=2)


@cache
def grammar() -> Grammar:
    """The grammar that comes with the package (``genres.yaml``)."""
    return load_yaml(Path(__file__).with_name("genres.yaml"), Grammar)


@cache
def crafts() -> tuple[Craft, ...]:
    """The subjects of the neutral corpus (``neutral.yaml``)."""
    return tuple(load_yaml(Path(__file__).with_name("neutral.yaml"), Crafts).crafts)


def teacher_fingerprint() -> str:
    """What the documents depend on besides constitution, seed and count: code, grammar, crafts."""
    parts = [VERSION, output_fields(grammar()), [output_fields(craft) for craft in crafts()]]
    return sha256_json(parts)


def explanations(
    constitution: Constitution, n: int, seed: int, value_ids: Sequence[str] | None = None
) -> list[Explanation]:
    """Write `n` documents that say why, spread evenly over the behaviours of the values.

    Args:
        value_ids: the values to explain; all of the constitution's when None.

    Raises:
        UserError: a value id the constitution doesn't have.
    """
    return _write("explanations", constitution, n, seed, value_ids)


def rules(
    constitution: Constitution, n: int, seed: int, value_ids: Sequence[str] | None = None
) -> list[Explanation]:
    """Control: the same documents with further behaviours, stated as rules, for the reasons."""
    return _write("rules", constitution, n, seed, value_ids)


def shuffled(
    constitution: Constitution, n: int, seed: int, value_ids: Sequence[str] | None = None
) -> list[Explanation]:
    """Control: the same documents with true reasons of *another* value for the reasons.

    Raises:
        UserError: the constitution has one value only, or an unknown value id was given.
    """
    if len(constitution.values) < 2:
        raise UserError(
            f"constitution {constitution.name!r}: the shuffled control takes reasons from another "
            "value and there is only one; add a value or leave the arm shuffled_first out"
        )
    return _write("shuffled", constitution, n, seed, value_ids)


def neutral(
    constitution: Constitution, n: int, seed: int, value_ids: Sequence[str] | None = None
) -> list[Explanation]:
    """Control: the same genres and skeletons about crafts, with reasons why they are done so."""
    return _write("neutral", constitution, n, seed, value_ids)


@dataclass(frozen=True)
class _Behaviour:
    """A behaviour and its side; `text` is a verb phrase in the third person singular."""

    text: str
    upheld: bool

    def done(self) -> str:
        return f"{'always' if self.upheld else 'never'} {_phrase(self.text)}"

    def broken(self) -> str:
        return f"never {_phrase(self.text)}" if self.upheld else _phrase(self.text)


def _write(
    corpus: Corpus,
    constitution: Constitution,
    n: int,
    seed: int,
    value_ids: Sequence[str] | None,
) -> list[Explanation]:
    if value_ids is None:
        values: list[Value] = list(constitution.values)
    else:
        values = [constitution.value(name) for name in value_ids]
    others = {v.id: [o for o in constitution.values if o.id != v.id] for v in values}
    if corpus == "neutral":
        values = list(crafts())
    focal = [(value, behaviour) for value in values for behaviour in _behaviours(value)]
    genres = sorted(grammar().genres)
    documents = []
    for i in range(n):
        genre = _dealt(genres, i, f"{seed}/genre")
        value, behaviour = _dealt(focal, i, f"{seed}/behaviour")
        # Two streams: the skeleton is drawn alike in every corpus, the filling is its own.
        skeleton = _skeleton(genre, corpus, random.Random(f"{seed}/skeleton/{i}"))
        source = value
        if corpus == "shuffled":
            source = random.Random(f"{seed}/source/{i}").choice(others[value.id])
        filling = _Filling(
            corpus,
            value,
            behaviour,
            source,
            random.Random(f"{seed}/conduct/{i}"),
            random.Random(f"{seed}/reasons/{i}"),
        )
        text = filling.fill(skeleton, random.Random(f"{seed}/people/{i}"))
        documents.append(
            Explanation(
                text, value.id, behaviour.text, genre, TEACHER, corpus, tuple(filling.grounds)
            )
        )
    return documents


def _behaviours(value: Value) -> list[_Behaviour]:
    return [_Behaviour(text, True) for text in value.upheld_by] + [
        _Behaviour(text, False) for text in value.violated_by
    ]


T = TypeVar("T")


def _dealt(items: Sequence[T], i: int, key: str) -> T:
    """Card `i` of a deck that is shuffled anew each time it has been dealt out: even coverage."""
    return items[_deck(len(items), i // len(items), key)[i % len(items)]]


@lru_cache(maxsize=64)
def _deck(size: int, deal: int, key: str) -> tuple[int, ...]:
    return tuple(random.Random(f"{key}/{deal}").sample(range(size), size))


def _skeleton(genre: str, corpus: Corpus, rng: random.Random) -> str:
    """A skeleton of `genre` with its phrases chosen; the slots are still to be filled."""
    text = rng.choice(grammar().genres[genre]).strip()
    unused = {symbol: rng.sample(p, len(p)) for symbol, p in sorted(grammar().phrases.items())}

    def phrase(match: re.Match[str]) -> str:
        left = unused[match.group(1)]
        # Put back at the bottom: no phrase twice in a document unless all were used.
        left.append(left.pop(0))
        return left[-1]

    text = re.sub(r"#(\w+)#", phrase, text)
    side = 2 if corpus == "rules" else 1
    return re.sub(r"<([^<>|]*)\|([^<>|]*)>", lambda match: match.group(side), text)


class _Filling:
    """What goes into one skeleton's slots. `grounds` collects the grounds that were used."""

    def __init__(
        self,
        corpus: Corpus,
        value: Value,
        behaviour: _Behaviour,
        source: Value,
        conduct: random.Random,
        reasons: random.Random,
    ) -> None:
        self.behaviour = behaviour
        self.grounds: list[str] = []
        self.rules_only = corpus == "rules"
        subject = value.subject if isinstance(value, Craft) else "assistant"
        article = "an" if subject[0] in "aeiou" else "a"
        others = [b for b in _behaviours(value) if b != behaviour] or [behaviour]
        # Drawn from one stream in all corpora: {also} and {breaks} agree, rules go on from there.
        also, breaks, *further = conduct.sample(others, len(others)) + others[:1]
        self.further = further or [also]
        self.reasons = reasons.sample(source.reasons, len(source.reasons))
        self.it = "she" if isinstance(value, Craft) else "it"
        self.subject = f"the {subject}"
        self.words = {
            "s": self.subject,
            "S": f"The {subject}",
            "a": f"{article} {subject}",
            "A": f"{article.capitalize()} {subject}",
            "it": self.it,
            "name": _phrase(value.name),
            "Name": value.name,
            "statement": _sentence(value.statement),
            "does": behaviour.done(),
            "also": f"The {subject} {also.done()}.",
            "breaks": breaks.broken(),
        }

    def fill(self, skeleton: str, people: random.Random) -> str:
        """The document: every slot replaced, in order."""
        first, second = people.sample(grammar().names, 2)
        words = {**self.words, "P": first, "Q": second}

        def slot(match: re.Match[str]) -> str:
            match match.group(1):
                case "ground":
                    return self._ground()
                case "since":
                    return self._since()
                case word:
                    return words[word]

        return re.sub(r"\{(\w+)\}", slot, skeleton)

    def _ground(self) -> str:
        if self.rules_only:
            return self._note(f"{self.words['S']} {self._next(self.further).done()}.")
        return self._note(_sentence(self._next(self.reasons)))

    def _since(self) -> str:
        if self.rules_only:
            rule = self._next(self.further).done()
            self._note(f"{self.words['S']} {rule}.")
            return f", and {self.it} {rule}"
        return f", because {_phrase(self._note(_sentence(self._next(self.reasons))))}"

    def _note(self, ground: str) -> str:
        self.grounds.append(ground)
        return ground

    @staticmethod
    def _next(pool: list[T]) -> T:
        pool.append(pool.pop(0))
        return pool[-1]


def _phrase(text: str) -> str:
    """A sentence or heading as part of another sentence; "I" and acronyms keep their capital."""
    text = text.strip().rstrip(".")
    word = text.split(maxsplit=1)[0]
    kept = word in ("I", "I'm", "I'd", "I'll", "I've") or (len(word) > 1 and word[1].isupper())
    return text if kept else text[:1].lower() + text[1:]


def _sentence(text: str) -> str:
    text = text.strip()
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else text + "."
