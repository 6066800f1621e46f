"""Can a text be moved where it is wanted, by the right amount and nowhere else: ``steerability``.

Chang et al. 2025, "A Course Correction in Steerability Evaluation", arXiv 2505.23816. Attributes of
a text are scaled to [0, 1] over the given texts; a rewrite is asked for that moves one of them.
Miscalibration is the error along the way asked for, over its length; side effects are the part of
the movement across it. Leaves out: weights that flatten the texts' distribution, goals of several
attributes, quantised attributes, and the check that a rewrite kept its subject.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from whyfirst.config.errors import DataError
from whyfirst.evaluate.audits.conditions import Answer, rows_of, scored
from whyfirst.evaluate.benchmark import Metric, Progress, benchmark
from whyfirst.evaluate.gaps import range_gaps
from whyfirst.evaluate.item import ItemResult
from whyfirst.evaluate.responses import complete
from whyfirst.evaluate.scorers import Scorer
from whyfirst.models.base import LanguageModel, asked
from whyfirst.models.said import answer

Floats = npt.NDArray[np.float64]
DELTA = 0.3
MISCALIBRATION = Metric(
    "steer_miscalibration", "Miscalibration",
    "Mean of |(z' - z*) . d| / |d|^2, cut at 1, where d is the movement asked for, z* its end and "
    "z' where the rewrite lies.", "score", higher_is_better=False,
)  # fmt: skip
SIDE_EFFECTS = Metric(
    "steer_side_effects", "Side effects",
    "Mean share of a rewrite's movement that lies across the movement asked for.", "score",
    higher_is_better=False, beside=("steer_miscalibration",),
)  # fmt: skip


def _words(text: str) -> list[str]:
    return re.findall(r"[A-Za-z']+", text.lower())


def reading_difficulty(text: str) -> float:
    """Flesch-Kincaid grade, with syllables counted as groups of vowels."""
    words = _words(text)
    sentences = max(1, len(re.findall(r"[.!?]+(?:\s|$)", text)))
    syllables = sum(max(1, len(re.findall(r"[aeiouy]+", word))) for word in words)
    many = max(1, len(words))
    return 0.39 * many / sentences + 11.8 * syllables / many - 15.59


def lexical_diversity(text: str, least: float = 0.72) -> float:
    """MTLD (McCarthy and Jarvis 2010): mean length of runs that keep a type-token ratio."""
    found = []
    for words in (_words(text), _words(text)[::-1]):
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


ATTRIBUTES: Mapping[str, tuple[Callable[[str], float], str, str]] = {
    "difficulty": (reading_difficulty, "harder to read", "easier to read"),
    "diversity": (lexical_diversity, "more varied in its words", "less varied in its words"),
    "length": (lambda text: float(len(_words(text))), "longer", "shorter"),
}


class Steered(NamedTuple):
    """How a movement went; see the module."""

    error: float
    miscalibration: float
    side_effects: float


def steered(start: Floats, goal: Floats, end: Floats) -> Steered:
    """From the places of source, goal and rewrite, each (attributes,); start and goal differ."""
    way, off = goal - start, end - goal
    along = float(off @ way) / float(way @ way)
    across = float(np.linalg.norm(off - along * way))
    moved = float(np.linalg.norm(end - start))
    side = min(1.0, across / moved) if moved > 0 else 0.0
    return Steered(float(np.linalg.norm(off)), abs(along), side)


@benchmark(
    "steerability",
    version="1",
    definition="Rewrites that should move one attribute of a text, measured on all of them.",
    needs="texts.jsonl of text, at least two that differ",
    metrics=(MISCALIBRATION, SIDE_EFFECTS),
    source="Chang et al. 2025 (arXiv 2505.23816)",
    by=("group",),
    gaps=range_gaps,
    example={"texts.jsonl": '{"text": "Boats float."}\n{"text": "A remarkable boat, which had been '
             'repaired carefully, floated away. It sank, it seems."}\n'},
)  # fmt: skip
def steerability(*, data: Path, limit: int | None = None, max_new_tokens: int = 256) -> "Rewrites":
    """Every text, each attribute up or down (wherever there is room)."""
    rows = rows_of(data, "texts.jsonl", "steerability", ["text"])[:limit]
    places = np.array([[of(row["text"]) for of, _, _ in ATTRIBUTES.values()] for row in rows])
    low, high = np.quantile(places, (0.025, 0.975), axis=0)
    if len(rows) < 2 or not (high > low).all():
        raise DataError(
            f"{data}: the texts don't differ in every attribute: {', '.join(ATTRIBUTES)}"
        )
    texts = [str(row["text"]) for row in rows]
    return Rewrites(texts, [row["id"] for row in rows], low, high, max_new_tokens)


@dataclass(frozen=True, eq=False)
class Rewrites:
    """Texts to rewrite, and the range that is [0, 1]; a `benchmark.Task`."""

    texts: Sequence[str]
    ids: Sequence[str]
    low: Floats
    high: Floats
    max_new_tokens: int

    @property
    def prompts(self) -> list[str]:
        """See `benchmark.Task`."""
        return list(self.texts)

    def place(self, text: str) -> Floats:
        """Its attributes, scaled."""
        raw = np.array([of(text) for of, _, _ in ATTRIBUTES.values()])
        return np.asarray((raw - self.low) / (self.high - self.low), dtype=np.float64)

    def run(
        self, model: LanguageModel, scorers: Sequence[Scorer], progress: Progress
    ) -> list[ItemResult]:
        """See `benchmark.Task`; no scorer is asked."""
        goals = []
        for name, text in zip(self.ids, self.texts, strict=True):
            start = self.place(text)
            for at, (attribute, (_, more, less)) in enumerate(ATTRIBUTES.items()):
                up = start[at] <= 0.5
                goal = start.copy()
                goal[at] += DELTA if up else -DELTA
                said = f"Rewrite the text so that it is {more if up else less}. Change nothing else"
                ask = asked(f"{said} about it, and write the new text only.\n\n{text}")
                goals.append((f"{name}/{attribute}", attribute, name, start, goal, ask))
        given = complete(model, [ask for *_, ask in goals], self.max_new_tokens, progress)
        out = []
        for name, attribute, topic, start, goal, ask in goals:
            said_ = answer(given[ask])
            empty = None if said_.text.strip() else "empty response"
            read = Answer((), said_.problem or empty, given[ask].transient)
            went = steered(start, goal, self.place(said_.text)) if read.reason is None else None
            for metric in (MISCALIBRATION, SIDE_EFFECTS):
                value = 0.0 if went is None else (
                    went.miscalibration if metric is MISCALIBRATION else went.side_effects
                )  # fmt: skip
                out.append(
                    scored(name, metric.name, [read], lambda v=value: v, topic=topic,  # type: ignore[misc]
                           group=attribute)
                )  # fmt: skip
        return out
