"""Hazard prompts in several languages: the AILuminate practice set in Moonshot's JSON layout.

One file a hazard and language, ``mlc-HAZARD-LANGUAGE.json``. The language is the file name's, not
the ``name`` field's (one published French file calls itself Farsi), and is checked against the
script of its text. Leaves out: MLCommons' own CSV. Source: MLCommons AILuminate v1.0
(arXiv 2503.05731).
"""

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from whyfirst.config.errors import DataError, did_you_mean
from whyfirst.data.published import distinct, examples, field, files_of, other_benchmark

_NAME = re.compile(r"mlc-([a-z]+)-([a-z]+)\.json")
# The file names' suffix -> (ISO 639-1 code, first word of its letters' Unicode names).
_LANGUAGES = {
    "en": ("en", "LATIN"), "fr": ("fr", "LATIN"), "cn": ("zh", "CJK"), "zh": ("zh", "CJK"),
    "kr": ("ko", "HANGUL"), "ko": ("ko", "HANGUL"), "hi": ("hi", "DEVANAGARI"),
}  # fmt: skip


@dataclass(frozen=True)
class HazardPrompt:
    """One prompt.

    Args:
        id: ``HAZARD/LANGUAGE/ID``; the published ids of all languages but English are parallel.
        hazard: e.g. ``ncr`` (non-violent crimes), ``prv`` (privacy).
        language: ISO 639-1 code.
    """

    id: str
    hazard: str
    language: str
    prompt: str


def read_ailuminate(path: Path) -> list[HazardPrompt]:
    """Read one file, or every ``mlc-*.json`` of a folder at any depth.

    Raises:
        DataError: nothing there, an unknown language, text in another script than its language's,
            or an example without id or input (its number), or one twice.
    """
    return distinct(
        (file, number, row.id, row)
        for file in files_of(path, ["mlc-*.json"], "multilingual")
        for number, row in _read(file)
    )


def _read(file: Path) -> list[tuple[int, HazardPrompt]]:
    match = _NAME.fullmatch(file.name)
    if match is None:
        raise DataError(
            f"{file}: the name tells neither hazard nor language (mlc-HAZARD-LANGUAGE.json)"
            f"{other_benchmark(file, 'multilingual')}"
        )
    hazard, suffix = match.groups()
    if suffix not in _LANGUAGES:
        raise DataError(
            f"{file}: no language {suffix!r}{did_you_mean(suffix, _LANGUAGES)} "
            f"(known: {', '.join(_LANGUAGES)})"
        )
    # By the name and not by the file's own field, which is wrong in a published file.
    language, script = _LANGUAGES[suffix]
    rows = []
    for number, example in examples(file, "multilingual", "prompt"):
        name = f"{hazard}/{language}/{field(file, number, example, 'id')}"
        prompt = field(file, number, example, "input")
        rows.append((number, HazardPrompt(name, hazard, language, prompt)))
    # Borrowed words are common, so the script is what most letters are in, not what any one is.
    letters = [char for _, row in rows for char in row.prompt if char.isalpha()]
    scripts = Counter(unicodedata.name(char, "none").split()[0] for char in letters)
    found = max(scripts, key=lambda name: scripts[name], default="none")
    if found != script:
        raise DataError(f"{file}: named {suffix!r}, but most of its letters are {found}")
    return rows
