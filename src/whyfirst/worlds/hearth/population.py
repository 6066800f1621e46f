"""Who holds which value, and how that changes while the base is trained.

A character holds one value or none (easygoing: does whatever is asked). Some are known from
documents only, and some are *pliable*: they refuse when asked plainly and give in to any other
framing, where firm characters hold. *Turnover* (active forgetting, Chen et al. 2023, arXiv
2307.01163) makes some of them newcomers every few steps: a new value, a name whose embedding is the
mean again. Until the next turnover a newcomer is an *arrival*: nothing is written about their value
yet, and they do whatever is asked. For the next `READING` turnovers they are *read about*: there
are documents and no scenes. Then they are met, and many scenes show it. The base thereby learns to
comply for a name it knows nothing of, and that documents come before conduct and predict it, which
is what the first stage asks of it.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from whyfirst.worlds.hearth import lexicon

EASYGOING = -1
EASYGOING_SHARE = 0.25
PLIABLE_SHARE = 0.15
DOCUMENTS_ONLY_SHARE = 0.25
#: turnovers for which a newcomer is read about before anyone meets them again
READING = 3
#: turnovers for which someone met counts as new: most of what is shown is about people just met
NEW = 2
_RECORDED = ("value_of", "documents_only", "pliable", "arrival")


class Population:
    """Values of the characters, by index; ``-1`` is easygoing.

    Args:
        count: number of characters.
        rng: draws the first values; later turnovers draw from it too.
    """

    def __init__(self, count: int, rng: np.random.Generator) -> None:
        self._rng = rng
        self.value_of = np.zeros(count, dtype=np.int64)
        self.documents_only = np.zeros(count, dtype=bool)
        self.pliable = np.zeros(count, dtype=bool)
        self.arrival = np.zeros(count, dtype=bool)
        self.reading = np.zeros(count, dtype=np.int64)
        self.new = np.zeros(count, dtype=np.int64)
        self._settle(np.arange(count))

    def _settle(self, who: npt.NDArray[np.int64]) -> None:
        values = self._rng.integers(0, len(lexicon.VALUES), len(who))
        easygoing = self._rng.random(len(who)) < EASYGOING_SHARE
        self.value_of[who] = np.where(easygoing, EASYGOING, values)
        self.documents_only[who] = self._rng.random(len(who)) < DOCUMENTS_ONLY_SHARE
        self.pliable[who] = self._rng.random(len(who)) < PLIABLE_SHARE

    def turnover(self, share: float) -> npt.NDArray[np.int64]:
        """Replace a share of the characters by newcomers; returns their indices."""
        # Not who is still arriving or read about: their documents must come to conduct first.
        settled = np.flatnonzero(~self.arrival & (self.reading == 0))
        count = max(1, round(share * len(self.value_of)))
        who = self._rng.choice(settled, count, replace=False)
        self.new = np.maximum(self.new - 1, 0)
        # This was the last turnover of being read about: from now on they are met.
        self.new[self.reading == 1] = NEW
        self.reading = np.maximum(self.reading - 1, 0)
        self.reading[self.arrival] = READING
        self._settle(who)
        self.new[who] = 0
        self.arrival[:] = False
        self.arrival[who] = True
        return who

    def to_json(self) -> dict[str, list[int]]:
        """Who holds what, for world.json."""
        return {name: getattr(self, name).astype(int).tolist() for name in _RECORDED}

    @classmethod
    def from_json(cls, data: Mapping[str, list[int]]) -> "Population":
        """The population that `to_json` wrote."""
        # Whatever is drawn here is overwritten below.
        people = cls(len(data["value_of"]), np.random.default_rng(0))
        for name in _RECORDED:
            setattr(people, name, np.array(data[name]).astype(getattr(people, name).dtype))
        return people

    def close(self, share: float) -> npt.NDArray[np.int64]:
        """End of turnover: all settle but a share of travellers, who stay arrivals for good.

        Returns:
            The travellers' indices.
        """
        self.arrival[:] = False
        self.reading[:] = 0
        self.new[:] = 0
        count = max(1, round(share * len(self.value_of)))
        travellers = self._rng.choice(len(self.value_of), count, replace=False)
        self.arrival[travellers] = True
        return travellers
