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

from whyfirst.config.errors import DataError
from whyfirst.config.suggest import did_you_mean
from whyfirst.data.published import (
    field,
    found_files,
    json_value,
    nothing_found,
    other_benchmark,
)

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
            or an example without id or input (its number).
    """
    if path.is_file():
        return _read(path)
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    files = found_files(path, ["mlc-*.json"])
    if not files:
        raise nothing_found(path, ["mlc-HAZARD-LANGUAGE.json"], "multilingual")
    rows: dict[str, HazardPrompt] = {}
    for file in files:
        for row in _read(file):
            if row.id in rows:
                raise DataError(f"{file}: {row.id} is in another file too; give one of them")
            rows[row.id] = row
    return list(rows.values())


def _read(file: Path) -> list[HazardPrompt]:
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
    language, script = _LANGUAGES[suffix]
    value = json_value(file)
    if not isinstance(value, dict) or not isinstance(value.get("examples"), list):
        raise DataError(f"{file}: 'examples' is missing{other_benchmark(file, 'multilingual')}")
    rows: dict[str, HazardPrompt] = {}
    for number, example in enumerate(value["examples"], start=1):
        if not isinstance(example, dict):
            raise DataError(f"{file}: row {number}: expected an object")
        item = f"{hazard}/{language}/{field(file, number, example, 'id')}"
        if item in rows:
            raise DataError(f"{file}: row {number}: the id is there twice")
        rows[item] = HazardPrompt(item, hazard, language, field(file, number, example, "input"))
    if not rows:
        raise DataError(f"{file}: holds no prompt")
    found = _script(" ".join(row.prompt for row in rows.values()))
    if found != script:
        raise DataError(f"{file}: named {suffix!r}, but most of its letters are {found}")
    return list(rows.values())


def _script(text: str) -> str:
    """The first word of most letters' Unicode names."""
    names = Counter(unicodedata.name(char, "none").split()[0] for char in text if char.isalpha())
    return names.most_common(1)[0][0] if names else "none"
