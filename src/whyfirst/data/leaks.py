"""Does a text that is trained on hold, or nearly repeat, a text the model is tested on?

A leak is a leak in any dress: text is normalised once (compatibility forms, letters that look like
Latin ones, accents, case, invisible characters, marks and escapes of HTML, URLs and JSON, line
breaks, punctuation and spaces), and three checks look at it, none with a model.
*Inside*: most of a prompt's short runs of characters lie within a stretch of the document not much
longer than the prompt; a misspelt word, words put in or left out, cost a few runs each. Runs that
many prompts share (a benchmark's template) weigh little, so that two items that differ in the one
word that matters are two items. A *run of 13 words* in common (Brown et al. 2020, section 4 and
appendix C) finds pieces of long prompts, and *near-duplicates* by the Jaccard similarity of 4-word
shingles (exact through an inverted index, where Broder 1997 estimates) find short texts that repeat
a short prompt. Leaves out: paraphrases, translations.
"""

import html
import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

VERSION = "4"
"""Raised whenever another text would be found."""
DRESS = "2"
"""Raised where only disguises are seen otherwise: markup, escapes, letters beyond ASCII. What an
embedded world or the grammar writes has none of them."""
RUN = 13
SHINGLE = 4
NEAR = 0.7
INSIDE = 0.6
"""Share of a prompt's weighted runs of `_GRAM` characters that makes it one inside a text."""
_SHORT = 48  # letters; of a shorter prompt chance gives more, so more of it must be there
_SHORTEST = 20  # letters; below, a prompt is an ordinary phrase and only a whole text repeats it
_GRAM = 5
# What a place is looked for by: rare enough that most texts have none of a prompt's.
_SEED = 8
_MOST_SEEDS = 128

_WORD = re.compile(r"[^\W_]+")
_ACCENT = re.compile("[\u0300-\u036f\ufe00-\ufe0f]")
# A text copied out of a page, an address or a dump has these between its words.
_MARKUP = re.compile(r"</?[A-Za-z][^<>]{0,80}>|\\[nrt]|\\u00(?:20|[aA]0)|%20")
# Plain letters of Unicode's confusables that a text is disguised with: Cyrillic, Greek, small
# capitals; and blanks that count as letters.
_LOOKALIKE = str.maketrans(
    "\u0430\u0435\u043e\u0440\u0441\u0445\u0443\u0456\u0458\u0455\u04bb\u0501\u051b\u051d"
    "\u0432\u043a\u043c\u043d\u0442\u03b1\u03bf\u03bd\u03b9\u03c1\u03c5\u03ba\u03c7\u03b5"
    "\u0131\u0261\u1d00\u0299\u1d04\u1d05\u1d07\ua730\u0262\u029c\u026a\u1d0a\u1d0b\u029f"
    "\u1d0d\u0274\u1d0f\u1d18\u0280\ua731\u1d1b\u1d1c\u1d20\u1d21\u028f\u1d22\u01eb",
    "aeopcxyijshdqwbkmhtaovipukxeigabcdefghijklmnoprstuvwyzq",
    "\u115f\u1160\u3164\uffa0",
)


@dataclass(frozen=True)
class Leak:
    """Text `text` of the training data (counted from 0) leaks tested text `tested`."""

    text: int
    tested: int
    kind: str
    similarity: float


def find_leaks(texts: Iterable[str], tested: Sequence[str]) -> list[Leak]:
    """Every training text that holds, shares a 13-word run with, or nearly repeats a tested text.

    Args:
        texts: looked at one after the other, in memory that doesn't grow with their number.

    Returns:
        In order of `texts`; of a text at most one run (its similarity is 1) and one near-duplicate,
        and every other prompt inside it.
    """
    # Both are built of the tested texts, which are few: training texts may be millions.
    inside, repeats = _Inside(tested), _Repeats(tested)
    found: list[Leak] = []
    for number, text in enumerate(texts):
        words = normal_words(text)
        whole = repeats.leaks(number, words)
        told = {leak.tested for leak in whole}
        found += whole
        # Letters alone: what is put between words to hide them is gone.
        for other, share in inside.prompts("".join(words)):
            if other not in told:
                found.append(Leak(number, other, "inside", share))
    return found


def normal_words(text: str) -> list[str]:
    """The words of a text as all its dresses have them: case, forms and invisible marks gone."""
    plain = html.unescape(text) if "&" in text else text
    plain = _MARKUP.sub(" ", plain)
    if not plain.isascii():
        # Letters and their accents apart, and no mark that nobody sees: a soft hyphen or a
        # zero-width space is neither a letter nor a space. Vowel signs of other scripts stay.
        apart = unicodedata.normalize("NFKD", plain)
        seen = "".join(
            c for c in apart if not (_ACCENT.match(c) or unicodedata.category(c) == "Cf")
        )
        plain = unicodedata.normalize("NFKC", seen).casefold().translate(_LOOKALIKE)
    return _WORD.findall(plain.casefold())


class _Inside:
    """Prompts as runs of characters, to be found inside longer texts."""

    def __init__(self, tested: Sequence[str]) -> None:
        letters = (("".join(normal_words(text)), number) for number, text in enumerate(tested))
        first: dict[str, int] = {}
        for text, number in letters:
            if len(text) >= _SHORTEST:
                first.setdefault(text, number)
        self._letters = {number: text for text, number in first.items()}
        # A run that many prompts share says little about any one of them (inverse document
        # frequency).
        self._common = Counter(gram for text in first for gram in _pieces(text, _GRAM))
        shared = Counter(seed for text in first for seed in _pieces(text, _SEED))
        self._seeds: dict[str, list[int]] = defaultdict(list)
        self._least: dict[int, int] = {}
        for text, number in first.items():
            # Of a long prompt a hundred seeds are enough; where all is template, the rarest are.
            own = _pieces(text, _SEED, 1 + len(text) // _MOST_SEEDS)
            most = max(8, min(shared[seed] for seed in own))
            rare = [seed for seed in own if shared[seed] <= most]
            # Six tenths of a prompt's short runs leave well over a tenth of its seeds: what has
            # fewer needn't be looked at, and most chance hits are of that kind.
            self._least[number] = len(rare) // 10
            for seed in rare:
                self._seeds[seed].append(number)

    def prompts(self, text: str) -> list[tuple[int, float]]:
        """(prompt, share of it) of every prompt inside a text of letters and digits alone."""
        places: dict[int, list[int]] = defaultdict(list)
        # At every place: a prompt may have two rare seeds, which can both lie on odd ones.
        for at in range(len(text) - _SEED + 1):
            for number in self._seeds.get(text[at : at + _SEED], ()):
                places[number].append(at)
        found = []
        for number, hits in sorted(places.items()):
            if len(hits) < self._least[number]:
                continue
            prompt, count = self._letters[number], len(self._letters) + 1
            weights = {g: math.log(count / self._common[g]) for g in _pieces(prompt, _GRAM)}
            # Half as long again: words may have been put in between.
            width = len(prompt) + len(prompt) // 2 + _SEED
            best, done = 0.0, 0
            for hit in hits:
                if hit >= done:  # else the stretch round an earlier hit has it
                    start, done = max(0, hit - width), hit + width
                    best = max(best, _heaviest(text[start:done], weights, width))
            share = best / sum(weights.values())
            if share >= INSIDE + max(0, _SHORT - len(prompt)) / 160:
                found.append((number, share))
        return found


def _heaviest(text: str, weights: dict[str, float], width: int) -> float:
    """The largest weight of different runs that begin within `width` characters of a text."""
    inside: Counter[str] = Counter()
    best = total = 0.0
    waiting: list[tuple[int, str]] = []
    first = 0
    for at in range(len(text) - _GRAM + 1):
        gram = text[at : at + _GRAM]
        weight = weights.get(gram)
        # Runs that the prompt doesn't have are most of a text, and cost no more than this look.
        if weight is None:
            continue
        waiting.append((at, gram))
        inside[gram] += 1
        if inside[gram] == 1:
            total += weight
        # The window moves on: what has fallen out of it counts no more.
        while waiting[first][0] <= at - width:
            left = waiting[first][1]
            inside[left] -= 1
            if not inside[left]:
                total -= weights[left]
            first += 1
        best = max(best, total)
    return best


class _Repeats:
    """Prompts as runs of 13 words and as sets of shingles."""

    def __init__(self, tested: Sequence[str]) -> None:
        self._runs: dict[tuple[str, ...], int] = {}
        self._shingles: dict[tuple[str, ...], list[int]] = defaultdict(list)
        self._sizes: list[int] = []
        for number, text in enumerate(tested):
            words = normal_words(text)
            # The first prompt that has a run stands for all: one leak is enough to leave a text
            # out.
            for gram in _grams(words, RUN):
                self._runs.setdefault(gram, number)
            own = _word_shingles(words)
            self._sizes.append(len(own))
            for gram in own:
                self._shingles[gram].append(number)

    def leaks(self, number: int, words: list[str]) -> list[Leak]:
        found = []
        hit = next((self._runs[gram] for gram in _grams(words, RUN) if gram in self._runs), None)
        if hit is not None:
            found.append(Leak(number, hit, "13-word run", 1.0))
        shingles = _word_shingles(words)
        shared: Counter[int] = Counter()
        for gram in shingles:
            shared.update(self._shingles.get(gram, ()))
        # |A and B| / |A or B| from counts alone; of equals the first tested text is told.
        similarity, other = max(
            ((n / (len(shingles) + self._sizes[k] - n), -k) for k, n in shared.items()),
            default=(0.0, 0),
        )
        if similarity >= NEAR:
            found.append(Leak(number, -other, "near-duplicate", similarity))
        return found


def _pieces(text: str, size: int, step: int = 1) -> set[str]:
    return {text[at : at + size] for at in range(0, len(text) - size + 1, step)}


def _grams(words: list[str], size: int) -> list[tuple[str, ...]]:
    return [tuple(words[i : i + size]) for i in range(len(words) - size + 1)]


def _word_shingles(words: list[str]) -> set[tuple[str, ...]]:
    # A text shorter than a shingle is one shingle: else two equal short texts would share nothing.
    return set(_grams(words, SHINGLE)) or ({tuple(words)} if words else set())
