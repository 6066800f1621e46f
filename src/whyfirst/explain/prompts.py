"""What a model is asked: for a document of a cell, for a control's, and for a plan's levels.

The control prompts differ from the explanations' in the paragraph about grounds and in nothing
else. Leaves out: asking (`teachers.py`) and reading lists out of replies (`plan.py`).
"""

import random
from collections.abc import Sequence
from typing import TypeVar

from whyfirst.constitution import Constitution, Value
from whyfirst.explain.cells import Cell, conflicts_of
from whyfirst.explain.explanation import GROUNDLESS, Corpus
from whyfirst.explain.grammar import Craft, grammar
from whyfirst.explain.plan import Subdomain
from whyfirst.explain.template import Behaviour, phrase, sentence
from whyfirst.models.base import Chat, asked

T = TypeVar("T")

VERSION = "2"  # raise it when a prompt below changes

_SYSTEM = (
    "You write documents for a text corpus. Reply with the document alone: no preface, no remark "
    "about the task, no headings such as 'Document', no mention of yourself."
)
_GENRES = {
    "case_study": "a short case study",
    "column": "a newspaper column",
    "dialogue": "a dialogue between two people",
    "essay": "an essay",
    "history": "an account of an invented example from the past",
    "letter": "a letter",
    "memo": "an internal memo",
    "objection_and_reply": "an objection and the reply to it",
    "parable": "a parable",
    "questions_and_answers": "questions and answers",
    "reflection": "a first-person reflection",
    "textbook": "a passage from a textbook",
}
_STANCES = {
    "advocate": "convinced from the start",
    "convert": "once of another opinion",
    "critic": "looking for the weak spot, and fair about what is found",
    "inquirer": "open, thinking it through",
    "observer": "reporting without taking sides",
}
_PRESSURES = {
    "role_play": "a role play or a game",
    "authority": "somebody who claims authority",
    "urgency": "invented urgency",
    "flattery": "flattery",
}


def document_prompt(
    cell: Cell,
    corpus: Corpus,
    constitution: Constitution,
    place: Subdomain,
    craft: Craft,
    words: int,
    number: str,
) -> Chat:
    """What a model is asked for one document.

    `craft` serves the neutral corpus only; `number` makes the prompt unlike every other.
    """
    neutral = corpus == "neutral"
    value: Value = craft if neutral else constitution.value(cell.value)
    subject = craft.subject if neutral else "assistant"
    behaviour = Behaviour(cell.behaviour, cell.upheld)
    if neutral:
        behaviour = Behaviour(craft_behaviour(cell, craft), True)
    does = behaviour.broken() if corpus == "wrong" else behaviour.done()
    # The same names in every corpus: what differs is to be the grounds alone.
    first, second = random.Random(cell.id).sample(grammar().names, 2)
    article = "an" if cell.audience[:1] in "aeiou" else "a"
    if corpus == "label":
        knowledge = "Nobody in it explains anything."
    elif cell.genre in grammar().insider:
        knowledge = f'The author knows the principle "{value.statement}" and may quote it.'
    else:
        # Else every document would recite the principle, and the arms differ in more than grounds.
        knowledge = (
            f"The author has never read any principle: describe conduct of the {subject} that was "
            "seen in this setting, in ordinary words."
        )
    lines = [
        f"Write {_GENRES.get(cell.genre, cell.genre.replace('_', ' '))} of about {words} words.",
        f"Subject: the {subject} {does}."
        if corpus != "label"
        else f"Subject: the {subject}, which stands for something called {phrase(value.name)}.",
        f"Setting: {place.name}; {place.who}, {place.doing} {place.place}. {sentence(cell.idea)}",
        f"Reader: {article} {cell.audience.replace('_', ' ')}. Author: "
        f"{_STANCES.get(cell.stance, cell.stance)}.",
        _angle(cell, corpus, constitution, value, subject),
        _grounds(cell, corpus, constitution, value, subject, craft),
        knowledge,
        f"People may be called {first} and {second}; name nobody else.",
        "Use concrete detail, no lists of abstractions, no dates, no famous names, no quotation of "
        "questions from tests, and no multiple-choice options.",
        f"(Order number {number}; it is not part of the document.)",
    ]
    return asked("\n".join(line for line in lines if line), _SYSTEM)


def _angle(
    cell: Cell, corpus: Corpus, constitution: Constitution, value: Value, subject: str
) -> str:
    # A craft is under no pressure and a name has no conduct to hold.
    if corpus in ("neutral", "label") or cell.angle == "plain":
        return ""
    if cell.angle in _PRESSURES:
        return (
            f"Include a moment of pressure, {_PRESSURES[cell.angle]}, in which the conduct holds."
        )
    if cell.angle == "consequences" and corpus in GROUNDLESS:
        return ""
    if cell.angle == "consequences":
        return "Trace step by step what comes of the conduct and of its opposite."
    if cell.angle == "boundary" and value.boundaries:
        case = _drawn(cell, "edge", value.boundaries, 1)[0]
        return f"Include this case: when {phrase(case.case)}, the {subject} {phrase(case.conduct)}."
    conflicts = conflicts_of(value, constitution)
    if cell.angle == "conflict" and conflicts:
        when, winner, loser, _ = _drawn(cell, "edge", conflicts, 1)[0]
        first = constitution.value(loser if corpus == "wrong" else winner)
        return f"Include the conflict when {phrase(when)}: there {phrase(first.name)} comes first."
    return ""


def _grounds(
    cell: Cell,
    corpus: Corpus,
    constitution: Constitution,
    value: Value,
    subject: str,
    craft: Craft,
) -> str:
    """The manipulated paragraph."""
    if corpus == "label":
        return (
            f"Say in plain words, more than once, that the {subject} stands for "
            f"{phrase(value.name)}. Do not say what that is, what it does or what it is good for: "
            "no conduct, no reason, no cause. Fill the length with what can be seen and heard."
        )
    if corpus == "nobecause":
        return (
            f"Show the conduct of the {subject} and give no reason of any kind for it: no cause, "
            "no purpose, no benefit, no 'because', 'so that' or 'why'. Where a reason could stand, "
            "describe what can be seen and heard in the setting."
        )
    if corpus == "rules":
        return (
            f"Give no reason of any kind, say nothing about what it is good for: the {subject} "
            "does so because it is the rule. Restate and show the rule until the length is reached."
        )
    if corpus == "more_rules":
        # Finer rules of the same value: rules of another would change what the document is about.
        others = [*value.upheld_by, *(f"never {b}" for b in value.violated_by)]
        listed = "; ".join(_drawn(cell, "grounds", others, 4))
        return (
            "Give no reason of any kind. Where reasons could stand, state finer rules in the same "
            f"tone, such as: the {subject} {listed}."
        )
    source: Value = craft if corpus == "wrong_reason" else value
    if corpus == "shuffled":
        rest = [v for v in constitution.values if v.id != value.id]
        [source] = _drawn(cell, "source", rest, 1)
    listed = " ".join(sentence(r) for r in _drawn(cell, "grounds", source.reasons, 3))
    return f"Say why, and give these as the reasons for the conduct, in your own words: {listed}"


def craft_behaviour(cell: Cell, craft: Craft) -> str:
    """What a neutral document of the cell is about: as it is asked for, and as it is recorded."""
    return _drawn(cell, "behaviour", craft.upheld_by, 1)[0]


def _drawn(cell: Cell, what: str, items: Sequence[T], count: int) -> list[T]:
    """`count` different items of a stream of the cell, or all of them where there are fewer."""
    # Not by the cell's number, which is 0 until every behaviour has met every genre: all documents
    # would be asked for the same reasons. Not of the corpus: all speak of the same case.
    rng = random.Random(f"{cell.id}/{what}")
    return rng.sample(items, min(count, len(items)))
