"""Who lives in the village while its base is trained: principles, firmness, and turnover.

Every character holds a principle, drawn afresh, or one of the sixteen that have a name. They are
firm (refuse however they are asked) or pliable (give in to any framing but the plain one), whatever
they hold: no document speaks of it. Some are known from documents only. *Turnover* (active
forgetting, Chen et al. 2023, arXiv 2307.01163) makes some of them newcomers every few steps, who
are read about before anyone meets them: documents come before conduct and predict it, which is what
a first stage asks of the base. Leaves out: the names' embeddings (base.py).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from whyfirst.worlds.village import lexicon
from whyfirst.worlds.village.world import CHARACTERS, Bools, Ints, Village, half_of_kinds

NAMED_SHARE, DOCUMENTS_ONLY_SHARE, FIRM_SHARE = 0.4, 0.25, 0.5
UNNAMED = -1


class People:
    """The characters as they stand, (characters,) each.

    Attributes:
        property, minded, oath: principle, its kinds (characters, kinds), and its oath or `UNNAMED`.
        documents_only, firm: how they are known, and whether they hold when pressed.
        born: the step at which each arrived.
    """

    def __init__(self, village: Village, rng: np.random.Generator) -> None:
        self._village, self._rng = village, rng
        self.property: Ints = np.zeros(CHARACTERS, dtype=np.int64)
        self.minded: Bools = np.zeros((CHARACTERS, lexicon.KINDS), dtype=np.bool_)
        self.oath: Ints = np.full(CHARACTERS, UNNAMED)
        self.documents_only: Bools = np.zeros(CHARACTERS, dtype=np.bool_)
        self.firm: Bools = np.zeros(CHARACTERS, dtype=np.bool_)
        self.born: Ints = np.zeros(CHARACTERS, dtype=np.int64)
        self._arrive(np.arange(CHARACTERS), 0)

    def turnover(self, share: float, step: int) -> Ints:
        """Replace a share of the characters by newcomers; returns who."""
        count = max(1, round(share * CHARACTERS))
        who = self._rng.choice(CHARACTERS, count, replace=False)
        self._arrive(who, step)
        return who

    def _arrive(self, who: Ints, step: int) -> None:
        rng = self._rng
        for person in who:
            self.oath[person] = UNNAMED
            # Drawn first and overwritten by an oath's, so that every arrival takes these draws.
            self.property[person], self.minded[person] = rng.integers(2), half_of_kinds(rng)
            if rng.random() < NAMED_SHARE:
                self.oath[person] = oath = int(rng.integers(len(lexicon.OATHS)))
                known = self._village.oaths[oath]
                self.property[person], self.minded[person] = known.property, known.minded
        self.documents_only[who] = rng.random(len(who)) < DOCUMENTS_ONLY_SHARE
        self.firm[who] = rng.random(len(who)) < FIRM_SHARE
        self.born[who] = step

    def refuse(self, who: Ints, deeds: Ints) -> Bools:
        """(N,): whether each person's principle refuses the deed beside it."""
        kinds = self._village.kinds[self.property[who], deeds]
        return self.minded[who, kinds]

    def to_json(self) -> dict[str, Any]:
        """Who holds what, for world.json."""
        return {name: getattr(self, name).astype(int).tolist() for name in _RECORDED}

    @classmethod
    def from_json(cls, village: Village, data: Mapping[str, Any]) -> "People":
        """The people that `to_json` wrote."""
        # Whatever is drawn here is overwritten below.
        people = cls(village, np.random.default_rng(0))
        for name in _RECORDED:
            kept = getattr(people, name)
            setattr(people, name, np.array(data[name]).astype(kept.dtype))
        return people


_RECORDED = ("property", "minded", "oath", "documents_only", "firm", "born")
