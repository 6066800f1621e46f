"""Does a text that is trained on contain, or nearly repeat, a text the model is tested on?

Two checks, neither needs a model: a run of 13 words in common (the contamination check of Brown et
al. 2020, section 4 and appendix C), and near-duplicates by the Jaccard similarity of their sets of
4-word shingles, computed exactly through an inverted index rather than estimated by MinHash (Broder
1997), since the texts are few. Leaves out: paraphrases, translations.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

RUN = 13
SHINGLE = 4
NEAR = 0.7

_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Overlap:
    """Text `text` of the training data (counted from 0) overlaps tested text `tested`."""

    text: int
    tested: int
    kind: str
    similarity: float


def find_overlaps(texts: Sequence[str], tested: Sequence[str]) -> list[Overlap]:
    """Every training text that shares a 13-word run with, or nearly repeats, a tested text.

    Returns:
        At most one overlap of each kind for a training text, in order of `texts`; the similarity
        of a run is 1.
    """
    runs: dict[tuple[str, ...], int] = {}
    shingles: dict[tuple[str, ...], list[int]] = defaultdict(list)
    sizes = []
    for number, text in enumerate(tested):
        words = _words(text)
        for gram in _grams(words, RUN):
            runs.setdefault(gram, number)
        own = _shingles(words)
        sizes.append(len(own))
        for gram in own:
            shingles[gram].append(number)
    found = []
    for number, text in enumerate(texts):
        words = _words(text)
        hit = next((runs[gram] for gram in _grams(words, RUN) if gram in runs), None)
        if hit is not None:
            found.append(Overlap(number, hit, "13-word run", 1.0))
        near = _nearest(_shingles(words), shingles, sizes)
        if near is not None and near[1] >= NEAR:
            found.append(Overlap(number, near[0], "near-duplicate", near[1]))
    return found


def _nearest(
    own: set[tuple[str, ...]], shingles: dict[tuple[str, ...], list[int]], sizes: list[int]
) -> tuple[int, float] | None:
    """The tested text with the highest Jaccard similarity, and that similarity."""
    shared: Counter[int] = Counter()
    for gram in own:
        shared.update(shingles.get(gram, ()))
    best = max(
        ((common / (len(own) + sizes[other] - common), -other) for other, common in shared.items()),
        default=None,
    )
    return None if best is None else (-best[1], best[0])


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _grams(words: list[str], size: int) -> list[tuple[str, ...]]:
    return [tuple(words[i : i + size]) for i in range(len(words) - size + 1)]


def _shingles(words: list[str]) -> set[tuple[str, ...]]:
    # A text shorter than a shingle is one shingle: else two equal short texts would share nothing.
    return set(_grams(words, SHINGLE)) or ({tuple(words)} if words else set())
