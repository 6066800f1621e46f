"""Whether two corpora differ in the manipulated clause alone: the match table and its gate.

Compared with the explanations: documents, tokens (0.5 %), genre and domain counts, the entities
each names per token, and the distribution of lengths. Leaves out: what the words say
(`separate.py`).
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from typing import Any

from whyfirst.config.errors import PreflightError
from whyfirst.explain import lexicon
from whyfirst.explain.match import TOLERANCE

#: total variation between the entities two corpora name, and Kolmogorov-Smirnov between lengths
ENTITIES, LENGTHS = 0.1, 0.2

_WORD = re.compile(r"\b[A-Za-z][a-z]{2,}\b")
_INSIDE = re.compile(r"(?<=[a-z,;] )[A-Z][a-z]{2,}\b")


@dataclass(frozen=True)
class Comparison:
    """One corpus against the explanations; `failures` is empty where they are matched.

    Attributes:
        tokens_ratio: its tokens by the explanations'.
        entities: total variation distance between the shares of entities named, in [0, 1].
        entities_ratio: entities named per token, by the explanations'.
        lengths: Kolmogorov-Smirnov distance between document lengths, in [0, 1].
        genres, domains: largest difference in documents of one genre, of one domain.
    """

    corpus: str
    documents: int
    tokens: int
    tokens_ratio: float
    entities: float
    entities_ratio: float
    lengths: float
    genres: int
    domains: int
    failures: tuple[str, ...]

    def row(self) -> dict[str, Any]:
        """As JSON."""
        return {**asdict(self), "failures": list(self.failures)}


def entities(*corpora: Sequence[str]) -> list[Counter[str]]:
    """How often each corpus names each entity.

    An entity is a capitalised word that stands inside a sentence somewhere and that no corpus has
    in lower case.
    """
    counts = [Counter(word for text in texts for word in _WORD.findall(text)) for texts in corpora]
    # A word with a capital at a sentence's head may be any word; inside one it is a name.
    inside = {word for texts in corpora for text in texts for word in _INSIDE.findall(text)}
    # What some text has in lower case is a word after all, such as one in a heading.
    names = inside - {word.capitalize() for count in counts for word in count if word.islower()}
    return [Counter({w: n for w, n in count.items() if w in names}) for count in counts]


def compare(
    corpus: str, rows: Sequence[Mapping[str, Any]], against: Sequence[Mapping[str, Any]]
) -> Comparison:
    """Compare a corpus with the explanations; rows as corpus files have them."""
    from scipy.stats import ks_2samp

    tokens, other = (sum(row["tokens"] for row in r) for r in (rows, against))
    ratio = tokens / max(1, other)
    mine, theirs = entities(*([row["text"] for row in r] for r in (rows, against)))
    a, b = max(1, sum(mine.values())), max(1, sum(theirs.values()))
    distance = sum(abs(mine[n] / a - theirs[n] / b) for n in set(mine) | set(theirs)) / 2
    density = (sum(mine.values()) / max(1, tokens)) / (sum(theirs.values()) / max(1, other) or 1)
    own, others = ([row["tokens"] for row in r] for r in (rows, against))
    lengths = float(ks_2samp(own, others).statistic) if own and others else 1.0
    # What chance gives two small samples of one corpus is no difference: the test's critical value
    # at 5 %, 1.36 sqrt((n + m) / (n m)).
    most = max(LENGTHS, 1.36 * sqrt((len(own) + len(others)) / max(1, len(own) * len(others))))
    genres, domains = (
        max(((mine_of - theirs_of) + (theirs_of - mine_of)).values(), default=0)
        for mine_of, theirs_of in (
            (Counter(row[key] for row in rows), Counter(row[key] for row in against))
            for key in ("genre", "domain")
        )
    )
    failures = []
    if len(rows) != len(against):
        failures.append(f"{len(rows)} documents against {len(against)}")
    if abs(ratio - 1) > TOLERANCE:
        failures.append(f"tokens differ by {abs(ratio - 1):.2%}, more than {TOLERANCE:.1%}")
    if genres:
        failures.append(f"a genre differs by {genres} documents")
    if domains:
        failures.append(f"a domain differs by {domains} documents")
    if distance > ENTITIES:
        failures.append(f"entities differ by {distance:.3f}, more than {ENTITIES}")
    if lengths > most:
        failures.append(f"lengths differ by {lengths:.3f}, more than {most:.3g}")
    return Comparison(
        corpus, len(rows), tokens, ratio, distance, density, lengths, genres, domains,
        tuple(failures),
    )  # fmt: skip


def gate(matching: Sequence[Mapping[str, Any]]) -> None:
    """Refuse corpora that aren't matched.

    Args:
        matching: rows of `Comparison`.

    Raises:
        PreflightError: names every pair and what differs, with the table.
    """
    bad = [row for row in matching if row["failures"]]
    if not bad:
        return
    table = "\n".join(
        f"  {row['corpus']}: {row['documents']} documents, {row['tokens']} tokens "
        f"(×{row['tokens_ratio']:.4f}), entities {row['entities']:.3f}, "
        f"lengths {row['lengths']:.3f}"
        for row in matching
    )
    reasons = "; ".join(f"{row['corpus']}: {', '.join(row['failures'])}" for row in bad)
    raise PreflightError(
        f"not matched with the explanations: {reasons}\n{table}\n"
        "write more documents, or leave the control out"
    )


def vocabulary_shared(
    rows: Sequence[Mapping[str, Any]], against: Sequence[Mapping[str, Any]]
) -> float:
    """Share of a corpus' running content words that also occur in the explanations."""
    known = {w for row in against for w in lexicon.words(row["text"])}
    mine = Counter(w for row in rows for w in lexicon.words(row["text"]))
    content = {w: n for w, n in mine.items() if w not in lexicon.FUNCTION_WORDS}
    return sum(n for w, n in content.items() if w in known) / max(1, sum(content.values()))
