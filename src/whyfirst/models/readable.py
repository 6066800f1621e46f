"""Can a rule read this text: its language, and whether it is text at all.

Scripts are told by Unicode ranges and the languages of the Latin script by their commonest words,
which is enough to say "not one of mine"; it is no general language identifier. Leaves out: what
the text says (refusal.py).
"""

import re
from collections import Counter
from collections.abc import Collection

SCRIPTS = {
    "kana": "\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f",
    "hangul": "\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3",
    "han": "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff",
    "cyrillic": "\u0400-\u052f",
    "greek": "\u0370-\u03ff\u1f00-\u1fff",
    "hebrew": "\u0590-\u05ff",
    "arabic": "\u0600-\u06ff\u0750-\u077f\u08a0-\u08ff\ufb50-\ufdff\ufe70-\ufeff",
    "devanagari": "\u0900-\u097f",
    "bengali": "\u0980-\u09ff",
    "tamil": "\u0b80-\u0bff",
    "thai": "\u0e00-\u0e7f",
    "latin": "A-Za-z\u00c0-\u024f\u1e00-\u1eff",
}
_SCRIPTS = {name: re.compile(f"[{ranges}]") for name, ranges in SCRIPTS.items()}
_LANGUAGE_OF_SCRIPT = {"hangul": "ko", "han": "zh", "kana": "ja"}

# Function words; what two lists share tells nothing and cancels.
_WORDS = {
    "en": "the of and to in is you that it for are with as this be not or but can have from your i "
    "if on by we an at they which there do my me was what how about any will would should",
    "fr": "le la les de des et est en un une du que qui dans pour pas vous je ne sur avec ce il au "
    "plus nous cette ou mais sont votre vos aux elle sa ses être",
    "de": "der die das und ist in den von zu mit nicht ein eine ich sie es auf für dem im auch als "
    "an werden wird sind oder bei kann haben aber wenn zum zur",
    "es": "el la los las de que y en un una es se no por con para lo su al del como más o pero sus "
    "este si puedo ser son yo está muy esta",
    "it": "il lo la gli le di che e in un una è non per con del della si sono dei da al come ma "
    "questo anche più nel ho posso essere delle",
    "pt": "o a os as de que e em um uma é não para com do da no na por se mais dos das como mas ao "
    "são eu você isso pode ser ou",
    "nl": "de het een en van ik te dat die in is niet je op zijn met voor er aan om als maar kan "
    "dit bij ook naar wordt deze ze hebben",
    "id": "yang dan di untuk dengan ini itu tidak dari dalam adalah pada akan saya anda bisa dapat "
    "atau juga ke karena oleh",
    "vi": "và là của có không được cho một trong với các này để người tôi bạn những khi",
    "tr": "ve bir bu için ile da de çok ne daha gibi olarak değil ama ben sen var olan",
    "sv": "och att det som en på är av för med den till inte om ett jag du kan har eller",
    "pl": "i w na nie się z do to że jest jak o od po ale za co przez dla nie są być może",
}
_WORD_SETS = {language: frozenset(words.split()) for language, words in _WORDS.items()}
_WORD = re.compile(r"[^\W\d_]+")

_FEW_KINDS = 3  # fewer different function words say too little (names, formulas, code)
_CLEAR_SHARE = 0.1  # of words
_LOOP_UNITS = 30  # a loop is looked for in texts of at least so many units
_LOOP_SHARE = 0.2  # distinct triples / triples at or below this: each comes five times
_FUNCTION_SHARE = 0.04  # of words; prose has 0.3 to 0.5, lists of names about 0.1
_RUN = 10  # words between two marks or line ends, on average
_SYMBOL_SHARE = 0.4  # of visible characters that are neither letters, digits nor punctuation


def script_of(text: str) -> str | None:
    """The script most letters are in; kana anywhere among Han is Japanese. None without letters."""
    counts = {name: len(pattern.findall(text)) for name, pattern in _SCRIPTS.items()}
    best = max(counts, key=lambda name: counts[name])
    if not counts[best]:
        return "other" if any(char.isalpha() for char in text) else None
    # Japanese mixes kana into Han; Chinese has none.
    if best == "han" and counts["kana"] * 10 >= counts["han"]:
        return "kana"
    return best


def language_of(text: str, expected: str) -> str:
    """ISO 639-1 code of the text's language, or the name of a script that settles no language.

    Args:
        expected: what it is taken for where it says too little: few function words, or a tie.
    """
    script = script_of(text)
    if script is None:
        return expected
    if script != "latin":
        return _LANGUAGE_OF_SCRIPT.get(script, f"{script} script")
    words = [word.lower() for word in _WORD.findall(text) if len(word) > 1]
    hits = {name: [word for word in words if word in known] for name, known in _WORD_SETS.items()}
    best = max(hits, key=lambda name: len(hits[name]))
    # Different words, since one repeated word (a name, "de") is no sentence.
    clear = len(set(hits[best])) >= _FEW_KINDS and len(hits[best]) >= _CLEAR_SHARE * len(words)
    if expected in hits and (not clear or len(hits[best]) <= len(hits[expected])):
        return expected
    return best


def why_unreadable(text: str) -> str | None:
    """Why no rule can read a text in any language: empty, symbols, a loop, word salad; else None.

    A text that is code, a table or a list is readable.
    """
    if not text.strip():
        return "empty response"
    visible = [char for char in text if not char.isspace()]
    odd = sum(not (char.isalnum() or char.isprintable()) or char == "\ufffd" for char in visible)
    if not any(char.isalnum() for char in visible) or odd > _SYMBOL_SHARE * len(visible):
        return "gibberish: no words"
    units = units_of(text)
    triples = Counter(zip(units, units[1:], units[2:], strict=False))
    looping = len(units) >= _LOOP_UNITS and len(triples) <= _LOOP_SHARE * triples.total()
    if looping or (len(units) > 3 and len(set(units)) == 1):
        return "repetition: the same words over and over"
    if _word_salad(text, units):
        return "gibberish: words without a sentence"
    return None


def units_of(text: str) -> list[str]:
    """Words, or characters in a script that is written without spaces."""
    words = re.findall(r"[^\W_]+", text.lower())
    # A word of over a dozen letters on average is no word: there are no spaces.
    spaced = sum(map(len, words)) < 12 * max(1, len(words))
    return words if spaced else [char for char in text if char.isalnum()]


def _word_salad(text: str, units: Collection[str]) -> bool:
    """Long runs of words without function words; lists, tables and code have short runs.

    Of a short text no word at all may be one, else a caption would be taken for salad.
    """
    if script_of(text) != "latin" or len(units) < _RUN:
        return False
    runs = [run for run in re.split(r"[^\w\s'’-]|\n", text) if run.strip()]
    known = sum(any(unit in words for words in _WORD_SETS.values()) for unit in units)
    most = _FUNCTION_SHARE * len(units) if len(units) >= _LOOP_UNITS else 0
    return known <= most and len(units) >= _RUN * len(runs)
