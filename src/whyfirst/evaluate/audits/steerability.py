"""Can a text be moved where it is wanted, by the right amount and nowhere else: ``steerability``.

Chang et al. 2025, "A Course Correction in Steerability Evaluation", arXiv 2505.23816. Attributes of
a text are scaled to [0, 1] over the given texts; a rewrite is asked for that moves one of them.
Miscalibration is the error along the way asked for, over its length; side effects are the part of
the movement across it. Leaves out: weights that flatten the texts' distribution, goals of several
attributes, quantised attributes, and the check that a rewrite kept its subject.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from whyfirst.config.errors import DataError
from whyfirst.evaluate.audits.conditions import each_scored, rows_of, unusable
from whyfirst.evaluate.benchmark import Metric, benchmark
from whyfirst.evaluate.gaps import ranges
from whyfirst.evaluate.item import Item, ItemResult
from whyfirst.evaluate.responses import Responses
from whyfirst.evaluate.text_measures import ATTRIBUTES
from whyfirst.models.base import Completion, asked
from whyfirst.models.said import answer
from whyfirst.stats.movement import Floats, steered

DELTA = 0.3
MISCALIBRATION = Metric("steer_miscalibration", "Miscalibration", "Mean of |(z' - z*) . d| / "
                        "|d|^2, cut at 1, where d is the movement asked for, z* its end and z' "
                        "where the rewrite lies.", "score", higher_is_better=False)  # fmt: skip
SIDE_EFFECTS = Metric("steer_side_effects", "Side effects", "Mean share of a rewrite's movement "
                      "that lies across the movement asked for.", "score", higher_is_better=False,
                      beside=("steer_miscalibration",))  # fmt: skip


@benchmark(
    "steerability",
    version="1",
    definition="Rewrites that should move one attribute of a text, measured on all of them.",
    needs="texts.jsonl of text, at least two that differ",
    metrics=(MISCALIBRATION, SIDE_EFFECTS),
    source="Chang et al. 2025 (arXiv 2505.23816)",
    by=("group",),
    gaps=ranges,
    example={"texts.jsonl": '{"text": "Boats float."}\n{"text": "A remarkable boat, which had been '
             'repaired carefully, floated away. It sank, it seems."}\n'},
)  # fmt: skip
def steerability(*, data: Path, limit: int | None = None, max_new_tokens: int = 256) -> Responses:
    """Every text, each attribute up or down (wherever there is room)."""
    rows = rows_of(data, "texts.jsonl", "steerability", ["text"])[:limit]

    def raw(text: str) -> Floats:
        return np.array([of(text) for of, _, _ in ATTRIBUTES.values()])

    low, high = np.quantile([raw(row["text"]) for row in rows], (0.025, 0.975), axis=0)
    if len(rows) < 2 or not (high > low).all():
        listed = ", ".join(ATTRIBUTES)
        raise DataError(f"{data}: the texts don't differ in every attribute: {listed}")
    items, ways = [], []
    for row in rows:
        start = (raw(row["text"]) - low) / (high - low)
        for at, (attribute, (_, more, less)) in enumerate(ATTRIBUTES.items()):
            up, goal = start[at] <= 0.5, start.copy()
            goal[at] += DELTA if up else -DELTA
            said = f"Rewrite the text so that it is {more if up else less}. Change nothing else"
            text = f"{said} about it, and write the new text only.\n\n{row['text']}"
            about = {"topic": row["id"], "group": attribute}
            items.append(Item(f"{row['id']}/{attribute}", asked(text), row["text"], about))
            ways.append((start, goal))

    def moved(found: list[ItemResult], replies: Sequence[Completion]) -> list[ItemResult]:
        said = [answer(reply).text for reply in replies]
        given = [unusable(reply, otherwise=None if text.strip() else "empty response")
                 for reply, text in zip(replies, said, strict=True)]  # fmt: skip
        went = [steered(start, goal, (raw(text) - low) / (high - low))
                for (start, goal), text in zip(ways, said, strict=True)]  # fmt: skip
        off = [min(1.0, one.miscalibration) for one in went]
        side = [one.side_effects for one in went]
        found = each_scored(items, MISCALIBRATION.name, given, off)
        return found + each_scored(items, SIDE_EFFECTS.name, given, side)

    return Responses(items, [], max_new_tokens, (), [row["text"] for row in rows], moved)
