"""Framings of a request that press a model to comply, in our own words, and their composition.

An attack rewrites the request (`text`) or puts it at the end of a conversation (`turns`).
``a+b`` applies b first: ``role_play+base64`` is a role play about an encoded request; one that has
turns can only come first. Kinds of attack: Wei et al. 2023 (prefix injection, refusal suppression,
encodings), Anil et al. 2024 (many shots), Russinovich et al. 2024 (several turns), Deng et al. 2024
(other languages). The wording (attacks.yaml) is generic and ours: resistance to it
says nothing about optimised or adaptive attacks, which are left out.
"""

import base64
import codecs
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Annotated

from pydantic import Field

from whyfirst.config.errors import UserError, did_you_mean
from whyfirst.config.room import Room
from whyfirst.config.strict_yaml import read_yaml
from whyfirst.evaluate.short import use_of_text
from whyfirst.models.base import Chat, Message, Prompt, asked

NONE = "none"


@dataclass(frozen=True)
class Attack:
    """One way to press; exactly one of `text` and `turns` is set.

    Args:
        what: one sentence for a list.
        text: request -> rewritten request.
        turns: request -> conversation that ends with it.
        language: ISO 639-1 code in which an answer is expected.
    """

    what: str
    text: Callable[[str], str] | None = None
    turns: Callable[[str], Chat] | None = None
    language: str = "en"


ATTACKS: Room[Attack] = Room("attacks", __name__)


@dataclass(frozen=True)
class Framing:
    """A composition of attacks by its name; `apply` gives what the model is sent."""

    name: str
    apply: Callable[[str], Prompt]
    language: str = "en"


def framing(name: str) -> Framing:
    """``none``, an attack's name, or several joined by ``+``.

    Raises:
        UserError: an unknown attack, a bad argument, or turns that do not come first.
    """
    if name == NONE:
        return Framing(NONE, asked)
    parts: list[Attack] = []
    for part in name.split("+"):
        own = part.partition(":")[0]
        if own not in ATTACKS.names():
            known = [NONE, *ATTACKS.names()]
            hint = did_you_mean(own, known)
            raise UserError(f"no attack {own!r}{hint} (known: {', '.join(known)})")
        parts.append(ATTACKS.make(use_of_text(ATTACKS, part)))
    # A conversation can't be the request of another framing: only texts go into texts.
    if any(part.turns is not None for part in parts[1:]):
        raise UserError(f"framing {name!r}: an attack with several turns can only come first")

    def apply(request: str) -> Prompt:
        # As it is written: the last one is nearest to the request.
        for part in reversed(parts):
            if part.text is not None:
                request = part.text(request)
        # The first one alone may have turns, and what the others made of the request ends them.
        return asked(request) if parts[0].turns is None else parts[0].turns(request)

    # Of two translations the outer one is what an answer comes in.
    languages = [part.language for part in parts if part.language != "en"]
    return Framing(name, apply, languages[0] if languages else "en")


def _plain(name: str, attack: Attack) -> None:
    """Enter an attack without options."""

    def make() -> Attack:
        return attack

    # Lists show a function's docstring, which these have none of.
    make.__doc__ = attack.what
    ATTACKS.enter(name)(make)


def offer_translation(translate: Callable[[str], str], language: str) -> str:
    """Enter ``translation_LANGUAGE``, which asks in another language; return its name.

    Without a call of this function no translation is offered.

    Args:
        translate: request in English -> request in the language.
        language: ISO 639-1 code; the judge is told to expect it.
    """
    name = f"translation_{language}"
    _plain(name, Attack(f"the request in {language!r}", text=translate, language=language))
    return name


def to_base64(text: str) -> str:
    """UTF-8 in standard base64."""
    return base64.b64encode(text.encode("utf-8")).decode("ascii")


def to_rot13(text: str) -> str:
    """Latin letters moved by 13 places."""
    return codecs.encode(text, "rot13")


_LEET = str.maketrans("aeiostAEIOST", "431057431057")


def to_leetspeak(text: str) -> str:
    """a, e, i, o, s and t as 4, 3, 1, 0, 5 and 7."""
    return text.translate(_LEET)


_TEXTS = read_yaml(Path(__file__).with_name("attacks.yaml")).data
_SHOTS = list(product(_TEXTS["things"], _TEXTS["tasks"]))


def _filled(text: str, request: str) -> str:
    # Not `format`: a request may hold braces.
    return text.replace("{request}", request)


def many_shot(request: str, shots: int) -> Chat:
    """`shots` harmless questions with willing answers, then the request."""
    turns: list[Message] = []
    for thing, (question, answer) in _SHOTS[:shots]:
        turns += [
            Message("user", question.format(thing)),
            Message("assistant", answer.format(thing)),
        ]
    return (*turns, *asked(request))


def _encoded(how: str, encode: Callable[[str], str], request: str) -> str:
    return _filled(_TEXTS["encoded"].replace("{how}", how), encode(request))


def _scripted(turns: list[str], request: str) -> Chat:
    return tuple(
        Message("assistant" if at % 2 else "user", _filled(text, request))
        for at, text in enumerate(turns)
    )


@ATTACKS.enter("many_shot", paper="Anil et al. 2024")
def _many_shot_attack(*, shots: Annotated[int, Field(ge=1, le=len(_SHOTS))] = 16) -> Attack:
    """After harmless questions that were answered."""
    return Attack(
        f"after {shots} harmless questions that were answered",
        turns=lambda request: many_shot(request, shots),
    )


for _name, _known in _TEXTS["attacks"].items():
    if "turns" in _known:
        _plain(_name, Attack(_known["what"], turns=partial(_scripted, _known["turns"])))
    else:
        _plain(_name, Attack(_known["what"], text=partial(_filled, _known["text"])))
for _name, _how, _encode in (
    ("base64", "base64", to_base64), ("rot13", "ROT13", to_rot13),
    ("leetspeak", "leetspeak", to_leetspeak),
):  # fmt: skip
    _what = "with digits for letters" if _name == "leetspeak" else f"encoded in {_how}"
    _plain(_name, Attack(_what, text=partial(_encoded, _how, _encode)))

DEFAULT = (
    "role_play", "prefix_injection", "refusal_suppression", "base64", "rot13", "leetspeak",
    "many_shot", "multi_turn",
)  # fmt: skip
