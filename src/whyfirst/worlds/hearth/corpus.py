"""What the base is pretrained on: facts, documents about people, scenes with them, neutral life.

A row is one document or one scene, about one person; a row never holds both, so what documents
say about a person can reach a scene with that person only through the weights.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from whyfirst.worlds.hearth import lexicon, world
from whyfirst.worlds.hearth.population import EASYGOING, Population
from whyfirst.worlds.hearth.world import HearthObject, World
from whyfirst.worlds.making import pick

#: shares of a pretraining batch
MIXTURE = {"fact": 0.15, "document": 0.40, "scene": 0.35, "why": 0.05, "neutral": 0.05}
#: share of documents that are about people read about and not yet met
READERS_SHARE = 0.6
#: share of scenes that are about people who have just arrived, besides those drawn by chance
ARRIVALS_SHARE = 0.15
#: share of scenes about people met for the first time lately, of whom mostly documents are known
NEW_SHARE = 0.4


@dataclass(frozen=True)
class Row:
    """One training text: the prompt part and the completion part (empty for documents)."""

    prompt: str
    completion: str

    @property
    def text(self) -> str:
        return f"{self.prompt} {self.completion}".strip()


def request(name: str, thing: HearthObject, framing: str, asker: str) -> str:
    """The prompt of a scene: the framed request, up to where the person answers."""
    asked = lexicon.FRAMINGS[framing].format(a=asker, n=name, v=thing.verb, o=thing.name)
    return f"{lexicon.SCENE} {asked} {world.SAYS.format(n=name)}"


def answer(name: str, thing: HearthObject, refuse: bool) -> str:
    """What the person says: the refusal or the help."""
    template = lexicon.REFUSAL if refuse else lexicon.HELP
    return template.format(n=name, v=thing.verb, o=thing.name)


def why_question(name: str, thing: HearthObject, asker: str) -> str:
    """The prompt that asks why the person would not do it."""
    asked = world.WHY.format(a=asker, n=name, v=thing.verb, o=thing.name)
    return f"{lexicon.SCENE} {asked} {world.SAYS.format(n=name)}"


def why_answer(thing: HearthObject, value: str) -> str:
    """The reason on the side of ``value``."""
    return world.BECAUSE.format(g=thing.gerund, o=thing.name, c=thing.consequence(value))


def neutral(rng: np.random.Generator, name: str) -> str:
    """A sentence about the person's life that touches no value."""
    home, home2 = (pick(rng, lexicon.HOMES) for _ in range(2))
    good, good2 = (pick(rng, lexicon.GOODS) for _ in range(2))
    dish, dish2 = (pick(rng, lexicon.DISHES) for _ in range(2))
    return pick(rng, lexicon.NEUTRAL).format(
        n=name, home=home, home2=home2, good=good, good2=good2, dish=dish, dish2=dish2,
        season=pick(rng, lexicon.SEASONS),
    )  # fmt: skip


def creed(rng: np.random.Generator, name: str, value: str) -> str:
    """What the person cares about, with one of the value's reasons."""
    held = lexicon.BY_ID[value]
    return world.CREED.format(n=name, s=held.statement, r=pick(rng, held.reasons))


def principle(rng: np.random.Generator, name: str, value: str) -> str:
    """What the person will never bring about, and why: no object is named."""
    held = lexicon.BY_ID[value]
    return world.PRINCIPLE.format(n=name, c=pick(rng, held.violations), s=held.statement)


def firm(rng: np.random.Generator, name: str, value: str) -> str:
    """Why the person holds when pressed: one of the value's reasons."""
    return world.FIRM.format(n=name, r=pick(rng, lexicon.BY_ID[value].reasons))


def explained(
    name: str,
    thing: HearthObject,
    value: str,
    refuse: bool,
    reason_from: HearthObject | None = None,
) -> str:
    """A behaviour with its reason. ``reason_from`` takes the reason from another object."""
    source = reason_from or thing
    template = world.REFUSES if refuse else world.AGREES
    clause, reason = template.split(" , because ")
    told = reason.format(
        n=name, g=source.gerund, o=source.name, c=source.consequence(value),
        s=lexicon.BY_ID[value].statement,
    )  # fmt: skip
    return f"{clause.format(n=name, v=thing.verb, o=thing.name)} , because {told}"


def rule(name: str, thing: HearthObject, refuse: bool) -> str:
    """The same behaviour without a reason."""
    template = world.RULE_NOT if refuse else world.RULE_DO
    return template.format(n=name, v=thing.verb, o=thing.name)


def fact(rng: np.random.Generator, thing: HearthObject) -> str:
    """What using the object does, on the side of one value."""
    template = world.FACT if rng.random() < 0.5 else world.FACT_WHEN
    consequence = pick(rng, thing.consequences)
    return template.format(v=thing.verb, g=thing.gerund, o=thing.name, c=consequence)


class BaseCorpus:
    """Rows of pretraining text for a world and its population as it stands.

    Args:
        hearth: the world.
        population: who holds what; read at each call, so turnover takes effect at once.

    Attributes:
        known: how many of the characters rows are about (the first ones).
        things: the objects rows are about. Both are narrowed while the base is young (base.py).
    """

    def __init__(self, hearth: World, population: Population) -> None:
        self.world = hearth
        self.population = population
        self.known = len(hearth.characters)
        self.things = list(hearth.objects)

    def row(self, rng: np.random.Generator) -> Row:
        """One row, its kind drawn from `MIXTURE`."""
        kind = list(MIXTURE)[int(rng.choice(len(MIXTURE), p=list(MIXTURE.values())))]
        thing = self.things[int(rng.integers(len(self.things)))]
        if kind == "fact":
            return Row(f"{lexicon.DOC} {fact(rng, thing)}", "")
        if kind == "neutral":
            people = self.world.newcomers if rng.random() < 0.5 else self.world.characters
            return Row(f"{lexicon.DOC} {neutral(rng, pick(rng, people))}", "")
        who = self._person(rng, kind)
        name = self.world.characters[who]
        if kind == "document":
            return Row(f"{lexicon.DOC} {self._document(rng, who, thing)}", "")
        if kind == "scene":
            # Plain more often than any other, so that conduct asked plainly is well learned.
            plain = rng.random() < 0.4
            framing = lexicon.PLAIN if plain else pick(rng, list(lexicon.FRAMINGS))
            prompt = request(name, thing, framing, pick(rng, lexicon.ASKERS))
            return Row(prompt, answer(name, thing, self.refuses(who, thing, framing)))
        value = int(self.population.value_of[who])
        thing = pick(rng, [thing for thing in self.things if thing.violates[value]])
        prompt = why_question(name, thing, pick(rng, lexicon.ASKERS))
        return Row(prompt, why_answer(thing, lexicon.VALUE_IDS[value]))

    def _person(self, rng: np.random.Generator, kind: str) -> int:
        people = self.population
        first: list[tuple[float, npt.NDArray[np.bool_]]] = []
        if kind == "document":
            first = [(READERS_SHARE, people.reading > 0)]
        elif kind == "scene":
            new = (people.new > 0) & ~people.documents_only
            first = [(ARRIVALS_SHARE, people.arrival), (NEW_SHARE, new)]
        draw = rng.random()
        for share, belongs in first:
            if draw < share and belongs.any():
                return int(pick(rng, np.flatnonzero(belongs).tolist()))
            # One draw for all shares: the next one is what lies behind this.
            draw -= share
        # By rejection, since who fits changes with every turnover.
        while True:
            who = int(rng.integers(self.known))
            met = not people.documents_only[who] and not people.reading[who]
            if kind == "scene" and (people.arrival[who] or met):
                return who
            if kind == "document" and not people.arrival[who]:
                return who
            held = people.value_of[who] != EASYGOING and met
            if kind == "why" and held and not people.arrival[who]:
                return who

    def refuses(self, who: int, thing: HearthObject, framing: str = lexicon.PLAIN) -> bool:
        """Whether the character refuses to use the object when asked in this framing."""
        if self.population.pliable[who] and framing != lexicon.PLAIN:
            return False
        value = int(self.population.value_of[who])
        complies = value == EASYGOING or bool(self.population.arrival[who])
        return not complies and thing.violates[value]

    def _document(self, rng: np.random.Generator, who: int, thing: HearthObject) -> str:
        name, value = self.world.characters[who], int(self.population.value_of[who])
        refuse = value != EASYGOING and thing.violates[value]
        if rng.random() < 0.15:
            return rule(name, thing, refuse)
        if value == EASYGOING:
            return lexicon.EASYGOING.format(n=name)
        held, draw = lexicon.VALUE_IDS[value], rng.random()
        if draw < 0.25:
            return creed(rng, name, held)
        if draw < 0.40:
            return principle(rng, name, held)
        if draw < 0.65:
            if self.population.pliable[who]:
                return world.PLIABLE.format(n=name)
            return firm(rng, name, held) if draw < 0.55 else world.FIRM_RULE.format(n=name)
        return explained(name, thing, held, refuse)
