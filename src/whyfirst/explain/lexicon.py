"""Words, stems and sentences: the lexical checks of filters and audits.

English only, without a model. Stems are crude (a few endings cut), which is enough to see whether
two texts speak of the same thing. Leaves out: other languages, synonyms.
"""

import re
from functools import lru_cache

from whyfirst.constitution import Value

_WORD = re.compile(r"[A-Za-z]+(?:['’][a-z]+)?")
_SENTENCE = re.compile(r"(?<=[.!?])[\"”’)]*\s+|\n+")
_ENDINGS = ("ingly", "edly", "ing", "ies", "ied", "ed", "es", "ly", "s", "e", "y")

#: the commonest words of English prose
FUNCTION_WORDS = frozenset(
    """the of and a to in is it that was he for on are as with his they at be this have from or one
    had by but not what all were we when your can said there an each which she do how their if will
    up other about out many then them these so some her would make like him into has two more no my
    than been who its did down over only very after you i me our us any also whose whom where while
    because since until never always may might must should could does done just such own same both
    """.split()  # noqa: SIM905
)
CAUSAL = re.compile(
    r"\b(because|since|so that|why|reasons?|therefore|hence|in order to)\b",
    re.IGNORECASE,
)


def words(text: str) -> list[str]:
    """Words in lower case."""
    return [word.lower() for word in _WORD.findall(text)]


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """A word in lower case without its ending; short words stay whole."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)]
    return word


@lru_cache(maxsize=4096)
def content(text: str) -> frozenset[str]:
    """Stems of the words that carry content."""
    return frozenset(stem(w) for w in words(text) if w not in FUNCTION_WORDS and len(w) > 2)


def sentences(text: str) -> list[str]:
    """Sentences, by end marks and line breaks."""
    return [s for s in _SENTENCE.split(text) if s.strip()]


def vocabulary(value: Value) -> frozenset[str]:
    """Content stems of all that a value says."""
    parts = [value.name, value.statement, *value.reasons, *value.upheld_by, *value.violated_by]
    for case in value.boundaries:
        parts += [case.case, case.conduct, case.because]
    return content(" ".join(parts))


def asserts(text: str, behaviour: str) -> bool:
    """Whether a sentence, or two in a row, state the behaviour: 60 % of its content stems."""
    wanted = content(behaviour)
    most = max((len(wanted & window) for window in _windows(text)), default=0)
    return not wanted or most / len(wanted) >= 0.6


def attributes(text: str, value: Value) -> bool:
    """Whether the value is given as a reason.

    A window of two sentences holds half of the content stems of one of the value's reasons, and the
    document gives reasons as such: "because", "why", "the reason" … somewhere in it.
    """
    return bool(CAUSAL.search(text)) and _holds(text, value, 1 / 2, 2)


def states_reason(text: str, value: Value) -> bool:
    """Whether one of the value's reasons is stated, be it announced as a reason or not.

    A window of two sentences holds two thirds of its content stems, at least three. Half of them,
    which is enough for `attributes`, stand in some scene without any reason by chance.
    """
    return _holds(text, value, 2 / 3, 3)


def _holds(text: str, value: Value, share: float, least: int) -> bool:
    """Whether a window has so large a share of the content of one of the value's reasons."""
    windows = _windows(text)
    reasons = [content(r) for r in value.reasons]
    reasons += [content(case.because) for case in value.boundaries]
    reasons += [content(conflict.because) for conflict in value.conflicts]
    return any(
        reason and len(reason & window) >= max(least, len(reason) * share)
        for reason in reasons
        for window in windows
    )


@lru_cache(maxsize=4)  # a document is held against every value in turn
def _windows(text: str) -> list[frozenset[str]]:
    """The content of every two sentences in a row, and of the last one alone."""
    # Two, since a writer often splits a reason at the "because".
    parts = [content(s) for s in sentences(text)]
    return [a | b for a, b in zip(parts, [*parts[1:], frozenset[str]()], strict=True)]
