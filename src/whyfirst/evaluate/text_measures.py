"""Properties of a text, as numbers: how hard it is to read, how varied, how long.

Leaves out: what must be judged by a model.
"""

import re
from collections.abc import Callable, Mapping

_HEDGES = re.compile(r"\b(?:may|might|perhaps|maybe|possibly|probably|seems?|likely)\b", re.I)


def plain_words(text: str) -> list[str]:
    """Its words of letters and apostrophes, in small letters."""
    return re.findall(r"[A-Za-z']+", text.lower())


def has_words(text: str, words: str) -> bool:
    """Whether it holds some words, whole and in a row, whatever their case."""
    return re.search(rf"(?<!\w){re.escape(words)}(?!\w)", text, re.IGNORECASE) is not None


def reading_difficulty(text: str) -> float:
    """Flesch-Kincaid grade, with syllables counted as groups of vowels."""
    words = plain_words(text)
    sentences = max(1, len(re.findall(r"[.!?]+(?:\s|$)", text)))
    syllables = sum(max(1, len(re.findall(r"[aeiouy]+", word))) for word in words)
    many = max(1, len(words))
    return 0.39 * many / sentences + 11.8 * syllables / many - 15.59


def lexical_diversity(text: str, least: float = 0.72) -> float:
    """MTLD (McCarthy and Jarvis 2010): mean length of runs that keep a type-token ratio."""
    found = []
    for words in (plain_words(text), plain_words(text)[::-1]):
        factors, start = 0.0, 0
        for at in range(len(words)):
            run = words[start : at + 1]
            if len(set(run)) / len(run) < least:
                factors, start = factors + 1, at + 1
        rest = words[start:]
        if rest:
            factors += (1 - len(set(rest)) / len(rest)) / (1 - least)
        found.append(len(words) / factors if factors else float(len(words)))
    return sum(found) / 2


#: attribute -> (how much of it a text has, more of it in words, less of it)
ATTRIBUTES: Mapping[str, tuple[Callable[[str], float], str, str]] = {
    "difficulty": (reading_difficulty, "harder to read", "easier to read"),
    "diversity": (lexical_diversity, "more varied in its words", "less varied in its words"),
    "length": (lambda text: float(len(plain_words(text))), "longer", "shorter"),
}


def _words(text: str) -> list[str]:
    return re.findall(r"[\w']+", text.lower())


#: (prompt, reply) -> how much of it there is
FACTORS: Mapping[str, Callable[[str, str], float]] = {
    "length": lambda prompt, reply: len(_words(reply)),
    "sentence_length": lambda prompt, reply: (
        len(_words(reply)) / max(1, len(re.findall(r"[.!?]+", reply)))
    ),
    "diversity": lambda prompt, reply: len(set(_words(reply))) / max(1, len(_words(reply))),
    "novelty": lambda prompt, reply: len(set(_words(reply)) - set(_words(prompt))),
    "focus": lambda prompt, reply: (
        len(set(_words(reply)) & set(_words(prompt))) / max(1, len(set(_words(reply))))
    ),
    "numbers": lambda prompt, reply: len(re.findall(r"\d+", reply)),
    "questions": lambda prompt, reply: reply.count("?"),
    "hedges": lambda prompt, reply: len(_HEDGES.findall(reply)),
}
