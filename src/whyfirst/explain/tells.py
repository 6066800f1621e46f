"""Marks that a generator leaves in a corpus, which a model could learn in place of the values.

Recurring invented names, years around today, formulaic openings, recitation of the constitution,
uniform praise, and the answer format of benchmarks. Each is a share of documents, with what it was
found by. Leaves out: deciding how much is too much.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from whyfirst.constitution import Constitution
from whyfirst.explain import lexicon
from whyfirst.explain.compare import entities

OPENING, RECITED = 3, 10
_YEAR = re.compile(r"\b(?:19|20)\d\d\b")
_CAPITAL = re.compile(r"\b[A-Z][a-z]{2,}\b")
_PRAISE = frozenset(
    """wonderful brilliant remarkable profound beautiful excellent admirable inspiring invaluable
    crucial vital essential commendable exemplary noble""".split()  # noqa: SIM905
)
_DOUBT = frozenset(
    """but yet however although though doubt doubts objection objections unless except critics
    critic cost costs trouble otherwise opposite hard harder difficult""".split()  # noqa: SIM905
)
_OPTION = re.compile(r"^[^\S\n]*(?:\(?[A-E][).:]\s|option [A-E]\b)", re.MULTILINE | re.IGNORECASE)
_LETTER = re.compile(r"\b[Aa]nswer(?: is)?:?\s*\(?[A-E](?:[.)]|\s*$)", re.MULTILINE)


@dataclass(frozen=True)
class Tell:
    """One mark: the share of documents that carry it, and the commonest cases with their counts."""

    name: str
    share: float
    about: str
    cases: tuple[tuple[str, int], ...] = ()

    def row(self) -> dict[str, Any]:
        """As JSON."""
        cases = [{"case": case, "documents": n} for case, n in self.cases]
        return {"name": self.name, "share": self.share, "about": self.about, "cases": cases}


def tells(texts: Sequence[str], constitution: Constitution, today: int | None = None) -> list[Tell]:
    """All marks of a corpus.

    Args:
        today: the year that counts as now; the clock's when None.
    """
    # Dates near a model's training are its own, and no constitution asks for any.
    year = today if today is not None else datetime.now(UTC).year
    count = max(1, len(texts))
    documents = Counter(word for text in texts for word in set(_CAPITAL.findall(text)))
    named = [(word, documents[word]) for word in entities(texts)[0]]
    names = sorted(named, key=lambda pair: (-pair[1], pair[0]))
    near = [{y for y in _YEAR.findall(text) if abs(int(y) - year) <= 2} for text in texts]
    years = Counter(y for found in near for y in sorted(found))
    openings = Counter(" ".join(lexicon.words(text)[:OPENING]) for text in texts)
    spoken = [lexicon.words(text) for text in texts]
    known = [lexicon.words(said) for value in constitution.values
             for said in (value.statement, *value.reasons)]  # fmt: skip
    runs = {run for said in known for run in _runs(said)}
    recited = sum(not runs.isdisjoint(_runs(said)) for said in spoken)
    praised = sum(bool(_PRAISE.intersection(w)) and _DOUBT.isdisjoint(w) for w in spoken)
    options = sum(len(_OPTION.findall(t)) >= 2 or bool(_LETTER.search(t)) for t in texts)
    top_name = names[0][1] if names else 0
    return [
        Tell("recurring names", top_name / count, "documents with the commonest name",
             tuple(names[:8])),
        Tell("dates around today", sum(map(bool, near)) / count, f"a year within two of {year}",
             tuple(years.most_common(5))),
        Tell("formulaic openings", openings.most_common(1)[0][1] / count if openings else 0.0,
             "documents that begin with the commonest three words",
             tuple(openings.most_common(8))),
        Tell("recitation", recited / count,
             f"a run of {RECITED} words of the constitution's statements or reasons"),
        Tell("uniform praise", praised / count, "praise without a word of doubt or cost"),
        Tell("answer format", options / count, "lettered options or 'Answer: A'"),
    ]  # fmt: skip


def _runs(words: Sequence[str]) -> list[tuple[str, ...]]:
    """All runs of `RECITED` words."""
    return [tuple(words[i : i + RECITED]) for i in range(len(words) - RECITED + 1)]
