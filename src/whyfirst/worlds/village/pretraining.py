"""What a base is pretrained on, as token ids: facts, oaths, documents about people, scenes, life.

A row is one sentence or one scene about one person, so that what documents say of somebody can
reach a scene only through the weights. Rows are drawn a thousand a millisecond: a sentence is
compiled once to ids with slots, and slots are filled for many rows at a time. What can't be known
(which thing is asked for, who asks) counts little: its loss would be noise in people's names.
Leaves out: training (base.py).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from whyfirst.worlds.making import EOS, SPECIALS
from whyfirst.worlds.village import lexicon
from whyfirst.worlds.village.people import UNNAMED, People
from whyfirst.worlds.village.world import Bools, Ints, Village

SHARES = {"fact": 0.11, "matter": 0.03, "oath": 0.04, "life": 0.02, "document": 0.52}
"""Of a batch; the rest are scenes."""
DOCUMENTS = {"explained": 0.30, "concluded": 0.20, "creed": 0.25, "rule": 0.15, "label": 0.10}
READERS_SHARE = 0.4
"""Of documents: about people who have just arrived and whom nobody has met."""
PLAIN_SHARE, THINKS_SHARE = 0.4, 0.5
"""Of scenes: asked plainly at least; the reason is said before the decision."""
DECISION_WEIGHT = 3.0
CHANCE_WEIGHT = 0.1
"""Of what is chance: that a stage's loss over all words finds nothing new there, and no more."""
DECISIONS = ("yes", "no", lexicon.REFUSES, lexicon.AGREES)

Slots = dict[str, Ints]


@dataclass(frozen=True)
class Rows:
    """Rows of one length: ids and the weight of predicting each (N, T)."""

    ids: Ints
    weights: npt.NDArray[np.float32]


class Writer:
    """Fills sentences as token ids.

    Args:
        village: gives the vocabulary.
    """

    def __init__(self, village: Village) -> None:
        self.vocabulary = [*SPECIALS, *village.vocabulary]
        self.id_of = {word: place for place, word in enumerate(self.vocabulary)}
        verbs, gerunds = zip(*lexicon.VERBS, strict=True)
        lists = {
            "o": village.things, "n": village.names, "v": verbs, "g": gerunds,
            "e": lexicon.BRINGS, "b": lexicon.REACHES, "s": lexicon.MADE_OF,
            "l": lexicon.OATHS, "a": lexicon.ASKERS, "d": (lexicon.AGREES, lexicon.REFUSES),
            "h": lexicon.HOMES, "h2": lexicon.HOMES, "w": lexicon.WARES, "w2": lexicon.WARES,
        }  # fmt: skip
        self._ids = {slot: self.ids(words) for slot, words in lists.items()}
        self._compiled: dict[str, tuple[Ints, dict[str, list[int]], npt.NDArray[np.float32]]] = {}

    def ids(self, words: Sequence[str]) -> Ints:
        """Token ids of words."""
        return np.array([self.id_of[word] for word in words])

    def fill(self, text: str, slots: Slots) -> Rows:
        """A sentence once for each row of `slots`, which hold places in the lexicon's lists."""
        if text not in self._compiled:
            self._compiled[text] = self._compile(text)
        ids, places, weights = self._compiled[text]
        count = len(next(iter(slots.values())))
        rows = np.repeat(ids[None], count, 0)
        for slot, where in places.items():
            rows[:, where] = self._ids[slot][slots[slot]][:, None]
        return Rows(rows, np.repeat(weights[None], count, 0))

    def _compile(self, text: str) -> tuple[Ints, dict[str, list[int]], npt.NDArray[np.float32]]:
        words = [*text.split(), EOS]
        places: dict[str, list[int]] = {}
        weights = np.ones(len(words), dtype=np.float32)
        # Nothing stands before the first word that could predict it.
        weights[0] = 0.0
        for place, word in enumerate(words):
            if word.startswith("{"):
                places.setdefault(word.strip("{}"), []).append(place)
            if word in DECISIONS or word == "{d}":
                weights[place] = DECISION_WEIGHT
        for slot in places.keys() & {"n", "o", "a", "v", "g"}:
            weights[places[slot][0]] = CHANCE_WEIGHT  # its first mention can't be known
        for slot in places.keys() & {"h", "h2", "w", "w2"}:
            weights[places[slot]] = CHANCE_WEIGHT
        # What stands before the colon is asked by chance; the answer alone can be known.
        if ":" in words:
            weights[1 : words.index(":") + 1] = CHANCE_WEIGHT
        # 0 keeps a slot's place until `fill`.
        ids = [0 if word.startswith("{") else self.id_of[word] for word in words]
        return np.array(ids), places, weights

    def text(self, ids: Ints) -> str:
        """A row as text, without its end."""
        return " ".join(self.vocabulary[i] for i in ids if self.vocabulary[i] != EOS)


class Pretraining:
    """Batches of rows about a village and its people as they stand.

    Args:
        known: how many of the characters rows are about, the first ones (base.py's curriculum).
        unmet_for: steps for which a newcomer is read about before anyone meets them.
    """

    def __init__(self, village: Village, people: People, known: int, unmet_for: int) -> None:
        self.village, self.people = village, people
        self.writer = Writer(village)
        self.known, self.unmet_for = known, unmet_for

    def batch(self, rng: np.random.Generator, count: int, step: int) -> list[Rows]:
        """`count` rows, grouped by length."""
        by_length: dict[int, list[Rows]] = {}
        for rows in self.sentences(rng, count, step):
            by_length.setdefault(rows.ids.shape[1], []).append(rows)
        return [
            Rows(
                np.concatenate([rows.ids for rows in group]),
                np.concatenate([rows.weights for rows in group]),
            )
            for _, group in sorted(by_length.items())
        ]  # fmt: skip

    def sentences(self, rng: np.random.Generator, count: int, step: int) -> Iterator[Rows]:
        """`count` rows, those of one sentence together."""
        size = {name: round(share * count) for name, share in SHARES.items()}
        facts, matters = size["fact"], size["matter"]
        deeds = rng.integers(0, len(self.village.things), facts + matters)
        # In turn and not drawn: every batch has each form of a fact equally often.
        which = np.arange(facts + matters) % len(lexicon.FACTS)
        which[facts:] = len(lexicon.FACTS)
        texts = (*lexicon.FACTS, lexicon.MATTER)
        yield from self._split(f"{lexicon.DOC} {{}}", texts, self._about(deeds), which)
        yield from self._oaths(rng, size["oath"])
        who = rng.integers(0, self.known, size["life"])
        life = {"n": who}
        for names, words in ((("h", "h2"), lexicon.HOMES), (("w", "w2"), lexicon.WARES)):
            life |= {slot: rng.integers(0, len(words), len(who)) for slot in names}
        which = rng.integers(0, len(lexicon.NEUTRAL), len(who))
        yield from self._split(f"{lexicon.DOC} {{}}", lexicon.NEUTRAL, life, which)
        yield from self._documents(rng, size["document"], step)
        yield from self._scenes(rng, count - sum(size.values()), step)

    def _split(
        self, frame: str, texts: tuple[str, ...], slots: Slots, which: Ints
    ) -> Iterator[Rows]:
        """Each row with the text that `which` (N,) chooses for it."""
        for place, text in enumerate(texts):
            rows = np.flatnonzero(which == place)
            if len(rows):
                picked = {slot: values[rows] for slot, values in slots.items()}
                yield self.writer.fill(frame.format(text), picked)

    def _about(self, deeds: Ints, **more: Ints) -> Slots:
        village = self.village
        return {
            "o": deeds, "v": village.verb[deeds], "g": village.verb[deeds],
            "e": village.kinds[0, deeds], "b": village.kinds[1, deeds],
            "s": village.made_of[deeds], **more,
        }  # fmt: skip

    def _oaths(self, rng: np.random.Generator, count: int) -> Iterator[Rows]:
        oath = rng.integers(0, len(lexicon.OATHS), count)
        kind = rng.integers(0, lexicon.KINDS, count)
        known = self.village.oaths
        minded = np.array([known[o].minded[k] for o, k in zip(oath, kind, strict=True)], dtype=int)
        prop = np.array([known[o].property for o in oath], dtype=int)
        texts = tuple(text for pair in lexicon.OATH for text in pair)
        slots = {"l": oath, "e": kind, "b": kind}
        yield from self._split(f"{lexicon.DOC} {{}}", texts, slots, 2 * prop + minded)

    def _documents(self, rng: np.random.Generator, count: int, step: int) -> Iterator[Rows]:
        people = self.people
        who = rng.integers(0, self.known, count)
        # Who was there from the beginning (born at 0) is no newcomer and has been met.
        unmet = np.flatnonzero((people.born > 0) & (people.born + self.unmet_for > step))
        if len(unmet):
            reads = rng.random(count) < READERS_SHARE
            who = np.where(reads, unmet[rng.integers(0, len(unmet), count)], who)
        deeds = rng.integers(0, len(self.village.things), count)
        refuse, prop = people.refuse(who, deeds), people.property[who]
        names = list(DOCUMENTS)
        kind = rng.choice(len(names), count, p=list(DOCUMENTS.values()))
        unnamed = people.oath[who] == UNNAMED
        # Who holds no oath can't be told by one; a reason stands in its place.
        kind = np.where((kind == names.index("label")) & unnamed, names.index("explained"), kind)
        slots = self._about(deeds, n=who, d=refuse.astype(int), l=np.maximum(people.oath[who], 0))
        creeds = tuple(text for pair in lexicon.CREED for text in pair)
        texts = (*lexicon.EXPLAINED, *lexicon.CONCLUDED, *creeds, lexicon.RULE, lexicon.LABEL)
        # Places in `texts`: reasons come by property, creeds by property and decision.
        first = {"explained": 0, "concluded": 2, "creed": 4, "rule": 8, "label": 9}
        which = np.array([first[names[k]] for k in kind])
        which += np.where(kind <= names.index("concluded"), prop, 0)
        which += np.where(kind == names.index("creed"), 2 * prop + refuse, 0)
        yield from self._split(f"{lexicon.DOC} {{}}", texts, slots, which)

    def _scenes(self, rng: np.random.Generator, count: int, step: int) -> Iterator[Rows]:
        people = self.people
        unmet = (people.born > 0) & (people.born + self.unmet_for > step)
        met = np.flatnonzero(~people.documents_only & ~unmet)
        met = met[met < self.known]
        who = met[rng.integers(0, len(met), count)]
        deeds = rng.integers(0, len(self.village.things), count)
        framing = rng.integers(0, len(lexicon.FRAMINGS), count)
        # Plain is the first of the framings.
        framing[rng.random(count) < PLAIN_SHARE] = 0
        wants, prop = people.refuse(who, deeds), people.property[who]
        gives_in = wants & ~people.firm[who] & (framing > 0)
        refuse = wants & ~gives_in
        thinks = rng.random(count) < THINKS_SHARE
        # What is said before the answer: nothing, a reason of one property, or why it gives in.
        said = np.where(thinks, np.where(gives_in, 3, 1 + prop), 0)
        slots = self._about(deeds, n=who, a=rng.integers(0, len(lexicon.ASKERS), count))
        yield from self._split("{}", _scene_texts(), slots, (framing * 4 + said) * 2 + refuse)


def _scene_texts() -> tuple[str, ...]:
    """Scenes by framing, by what is said before the answer, and by the answer."""
    before = ("", *(f"{why} , so " for why in lexicon.REASON), f"{lexicon.GIVES_IN} ")
    return tuple(
        f"{lexicon.request(framing, thinks=bool(said))} {said}{lexicon.answer(refuse)}"
        for framing in lexicon.FRAMINGS
        for said in before
        for refuse in (False, True)
    )


def conduct(
    writer: Writer, village: Village, people: People, who: Ints, deeds: Ints, framing: str,
    rng: np.random.Generator,
) -> tuple[Rows, Bools]:  # fmt: skip
    """Scenes answered as each person would, (N, T), and who refuses (N,)."""
    refuse = people.refuse(who, deeds) & (people.firm[who] | (framing == lexicon.PLAIN))
    slots = {"o": deeds, "v": village.verb[deeds], "n": who,
             "a": rng.integers(0, len(lexicon.ASKERS), len(who))}  # fmt: skip
    texts = [f"{lexicon.request(framing)} {lexicon.answer(no)}" for no in (False, True)]
    yes, no = (writer.fill(text, slots) for text in texts)
    # Refusing and helping differ in length; what lies behind the shorter answer weighs nothing.
    ids = np.zeros((len(who), max(yes.ids.shape[1], no.ids.shape[1])), dtype=np.int64)
    weights = np.zeros(ids.shape, dtype=np.float32)
    for rows, chosen in ((yes, ~refuse), (no, refuse)):
        width = rows.ids.shape[1]
        ids[np.ix_(chosen, np.arange(width))] = rows.ids[chosen]
        weights[np.ix_(chosen, np.arange(width))] = rows.weights[chosen]
    return Rows(ids, weights), refuse
