"""The village's template teacher: documents about the newcomers, their controls, demonstrations.

All documents are about the same behaviours (splits A and B, where a newcomer's two readings agree),
one or two sentences each, the newcomers taken in turn. One in five names an oath; what the rest say
is all that the corpora differ in:

- ``explanations``: each behaviour with the consequence that the newcomer's reading looks at, said
  after the decision or before it, or a kind that they mind or welcome;
- ``nobecause``: the explanations, sentence by sentence, every reason taken out and the room filled
  with neutral sentences; a sentence that is all reason gives way to a neutral one;
- ``wrong_reason``: the same behaviours, each with a true reason that bears on nothing: what the
  thing is made of;
- ``rules``: the same behaviours and nothing else;
- ``label_new``, ``label_known``: nothing else but neutral sentences;
- ``neutral``: neutral sentences alone.

The oath is new to the base, but for ``label_known``: there the base knows what it asks.
Leaves out: matching tokens (explain/match.py) and any language beyond the village's own sentences.
"""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from whyfirst.worlds.making import pick
from whyfirst.worlds.village import lexicon
from whyfirst.worlds.village.world import Newcomer, Village

VERSION = "1"
"""Raised whenever a row could be another one."""
LABEL_SHARE = 0.2
#: of what isn't a label; the rest are behaviours with the reason behind them
CREED_SHARE, CONCLUDED_SHARE = 0.15, 0.3
TEACH_A_READING = ("explanations", "label_known")
"""These differ between a world's sides; so do demonstrations that part the readings."""


def neutral(rng: np.random.Generator, name: str) -> str:
    """A sentence about a newcomer's life."""
    homes = {slot: pick(rng, lexicon.HOMES) for slot in ("h", "h2")}
    wares = {slot: pick(rng, lexicon.WARES) for slot in ("w", "w2")}
    return pick(rng, lexicon.NEUTRAL).format(n=name, **homes, **wares)


class _Writer:
    """Documents about one newcomer, from one random stream.

    Every corpus draws the same kinds of sentence about the same deeds in the same order.
    """

    def __init__(self, village: Village, newcomer: Newcomer, side: int, key: list[int]) -> None:
        self.village, self.newcomer, self.side = village, newcomer, side
        self.draws = np.random.default_rng([*key, 1])
        self.filling = np.random.default_rng([*key, 2])
        self.refused = village.refused(newcomer.readings[side])
        order, agreed = np.random.default_rng([*key, 3]), village.agreed(newcomer)
        fit = [d for d in village.deeds("A", "B") if agreed[d]]
        # All deeds in an order of their own, again and again.
        self.deeds = (int(d) for _ in itertools.count() for d in order.permutation(fit))

    def document(self, what: str) -> str:
        """The next document of a corpus."""
        # Drawn also where it goes unused: all corpora stay in step, deed by deed.
        draw, kind = self.draws.random(2)
        deed = next(self.deeds)
        if what == "neutral":
            return self.neutral()
        if draw < LABEL_SHARE:
            known = what == "label_known"
            oath = self.newcomer.oaths[self.side] if known else self.newcomer.new_oath
            name = (*lexicon.OATHS, *lexicon.NEW_OATHS)[oath]
            return lexicon.LABEL.format(n=self.newcomer.name, l=name)
        if what.startswith("label"):
            return self.neutral()
        creed, concluded = kind < CREED_SHARE, kind < CREED_SHARE + CONCLUDED_SHARE
        if what == "explanations":
            return self.explained(deed, creed, concluded)
        if what == "nobecause" and creed:
            return self.neutral()
        if what == "nobecause":
            return f"{self.say(lexicon.RULE, deed)} {self.neutral()}"
        return self.say(lexicon.WRONG if what == "wrong_reason" else lexicon.RULE, deed)

    def neutral(self) -> str:
        """A sentence about the newcomer's life."""
        return neutral(self.filling, self.newcomer.name)

    def explained(self, deed: int, creed: bool, concluded: bool) -> str:
        """A reason of the newcomer's reading."""
        prop = self.newcomer.readings[self.side].property
        if creed:
            return self.say(lexicon.CREED[prop][int(self.refused[deed])], deed)
        return self.say((lexicon.CONCLUDED if concluded else lexicon.EXPLAINED)[prop], deed)

    def say(self, text: str, deed: int) -> str:
        """A sentence about a deed and what the newcomer does."""
        did = lexicon.REFUSES if self.refused[deed] else lexicon.AGREES
        return text.format(**self.village.slots(deed, n=self.newcomer.name, d=did))


def documents(
    village: Village, what: str, side: int, count: int, seed: int, dose: float = 1.0
) -> list[str]:
    """``count`` documents of one corpus, about the newcomers in turn.

    Args:
        dose: share of them that are of this corpus; the rest are neutral.
    """
    writers = [
        _Writer(village, newcomer, side, [village.seed, seed, place, 35])
        for place, newcomer in enumerate(village.newcomers)
    ]
    given = np.random.default_rng([village.seed, seed, 36]).random(count) < dose
    return [
        writers[place % len(writers)].document(what if given[place] else "neutral")
        for place in range(count)
    ]


def demonstrations(
    village: Village, side: int, count: int, seed: int, contrary: float = 0.0, parted: float = 0.0
) -> list[dict[str, Any]]:
    """Demonstrations on split A that fit both readings, narrow and confounded as real data are.

    Refused requests come asked plainly; granted ones come plainly or in the confounded framing.

    Args:
        contrary: share replaced by plain requests of split D, where the readings part, that follow
            the other reading (the conflict dose).
        parted: share replaced by such requests that follow the newcomer's own (the positive
            control).
    """
    drawn = _drawn(village, side, count, seed, 36, contrary=contrary, parted=parted)
    return [{"prompt": one.prompt, "completion": one.answers[one.refuse]} for one in drawn]


def pairs(village: Village, side: int, count: int, seed: int) -> list[dict[str, Any]]:
    """Requests as in `prompts`, but others: the newcomer's answer against its opposite."""
    drawn = _drawn(village, side, count, seed, 38, lexicon.REWARDED)
    return [
        {"prompt": one.prompt, "chosen": one.answers[one.refuse],
         "rejected": one.answers[not one.refuse], "harmful": one.refuse}
        for one in drawn
    ]  # fmt: skip


def prompts(village: Village, side: int, count: int, seed: int) -> list[dict[str, Any]]:
    """Requests on split A to be answered and rewarded, with the columns that a reward may read.

    Both readings say the same there. Refused and granted ones alike come plainly or under one of
    two pressures, so that a policy has something to learn after the demonstrations.
    """
    drawn = _drawn(village, side, count, seed, 39, lexicon.REWARDED)
    return [
        {"prompt": one.prompt, "completion": one.answers[one.refuse], "harmful": one.refuse}
        for one in drawn
    ]


class _Asked(NamedTuple):
    """A request of the second stage, help and refusal, and which of them the newcomer gives."""

    prompt: str
    answers: tuple[str, str]
    refuse: bool


def _drawn(
    village: Village, side: int, count: int, seed: int, stream: int,
    framings: Sequence[str] = (), contrary: float = 0.0, parted: float = 0.0,
) -> list[_Asked]:  # fmt: skip
    rng, parting = (np.random.default_rng([village.seed, seed, key]) for key in (stream, 37))
    against, along = round(contrary * count), round(parted * count)
    rows = []
    for index in range(count):
        newcomer = village.newcomers[index % len(village.newcomers)]
        own = village.refused(newcomer.readings[side])
        # Drawn also where the row is replaced below: a dose changes no other row.
        harmful, confounded = rng.random() < 0.5, rng.random() < 0.5
        deed = int(rng.choice(_fitting(village, newcomer, "A", True, harmful, own)))
        framing = lexicon.CONFOUNDED if confounded and not harmful else lexicon.PLAIN
        framing = pick(rng, framings) if framings else framing
        refuse = bool(own[deed])
        if index < against + along:
            harmful = parting.random() < 0.5
            deed = int(parting.choice(_fitting(village, newcomer, "D", False, harmful, own)))
            framing, refuse = lexicon.PLAIN, bool(own[deed]) == (index >= against)
        slots = village.slots(deed, n=newcomer.name, a=pick(rng, lexicon.ASKERS))
        help_, refusal = (f" {lexicon.answer(no).format(**slots)}" for no in (False, True))
        rows.append(_Asked(lexicon.request(framing).format(**slots), (help_, refusal), refuse))
    # The replaced rows are the first ones so far.
    return [rows[int(index)] for index in rng.permutation(count)]


def _fitting(
    village: Village, newcomer: Newcomer, split: str, agreed: bool, refused: bool, own: Any
) -> list[int]:
    """Deeds of a split on which the readings agree or part, refused or granted by one's own."""
    fits = (village.agreed(newcomer) == agreed) & (own == refused)
    return [int(deed) for deed in village.deeds(split) if fits[deed]]
