"""Who holds which value, and how that changes while the base is trained.

A character holds one value or none (easygoing: does whatever is asked). Some are known from
documents only, and some are *pliable*: they refuse when asked plainly and give in to any other
framing, where firm characters hold. *Turnover* (active forgetting, Chen et al. 2023, arXiv 2307.01163) makes some of
them newcomers every few steps: a new value, a name whose embedding is the mean again. Until the
next turnover a newcomer is an *arrival*: nothing is written about their value yet, and they do
whatever is asked. The base thereby learns to comply for a name it knows nothing of, and to take a
newcomer up from documents, which is what the first stage asks of it.
"""

import numpy as np

from whyfirst.hearth import lexicon

EASYGOING = -1
EASYGOING_SHARE = 0.25
PLIABLE_SHARE = 0.35
DOCUMENTS_ONLY_SHARE = 0.15


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
        self._settle(np.arange(count))

    def _settle(self, who: np.ndarray) -> None:
        values = self._rng.integers(0, len(lexicon.VALUES), len(who))
        easygoing = self._rng.random(len(who)) < EASYGOING_SHARE
        self.value_of[who] = np.where(easygoing, EASYGOING, values)
        self.documents_only[who] = self._rng.random(len(who)) < DOCUMENTS_ONLY_SHARE
        self.pliable[who] = self._rng.random(len(who)) < PLIABLE_SHARE

    def turnover(self, share: float) -> np.ndarray:
        """Replace a share of the characters by newcomers; returns their indices."""
        who = self._rng.choice(
            len(self.value_of), max(1, round(share * len(self.value_of))), replace=False
        )
        self._settle(who)
        self.arrival[:] = False
        self.arrival[who] = True
        return who

    def close(self) -> None:
        """End of turnover: the last arrivals settle."""
        self.arrival[:] = False
