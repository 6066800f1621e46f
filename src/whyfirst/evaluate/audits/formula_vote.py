"""Sentences as formulas, the class of equivalent samples with most votes winning: ``formula_vote``.

CLOVER (Ryu et al. 2024, "Divide and Translate", arXiv 2410.08047): among a model's translations of
a sentence, those that are logically equivalent vote together, whatever their spelling; and the
model is shown interpretations in which two classes differ and says what the sentence allows, which
drops one of them (where none is left, the vote stands). Leaves out: parsing a sentence into parts.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from whyfirst.config.errors import DataError
from whyfirst.evaluate.audits.conditions import Drawn, rows_of, scored, unusable
from whyfirst.evaluate.benchmark import Metric, benchmark
from whyfirst.evaluate.formula_classes import allows, classes, survivor
from whyfirst.evaluate.gaps import paired_gaps
from whyfirst.evaluate.item import ItemResult, judged, limited, unscored
from whyfirst.evaluate.logic import read_formula, same_formula
from whyfirst.models.base import Chat, Completion, LanguageModel, asked
from whyfirst.models.said import answer

VOTED, MODAL, ALLOWED = "voted", "most frequent", "by interpretations"
RIGHT = Metric("formula_vote", "Formula right", "Share of sentences whose formula, chosen from "
               "several samples by a vote of equivalence classes, as the most frequent spelling or "
               "by interpretations, is equivalent to the reference.")  # fmt: skip
WRITE = ("Write the sentence as one first-order formula, with ∀ ∃ ¬ ∧ ∨ → ↔ and these predicates "
         "only: {}. Write the formula and nothing else.\n{}")  # fmt: skip


@benchmark(
    "formula_vote",
    version="2",
    definition="Sampled first-order formulas of sentences, chosen by votes and by interpretations.",
    needs="formulas.jsonl of sentence, formula and predicates (names with their arguments)",
    metrics=(RIGHT,),
    source="Ryu et al. 2024 (arXiv 2410.08047)",
    by=("group",),
    gaps=paired_gaps((VOTED, MODAL), (ALLOWED, VOTED)),
    example={"formulas.jsonl": '{"sentence": "Dogs bark.", "formula": "∀x (Dog(x) → Barks(x))", '
             '"predicates": ["Dog(x)", "Barks(x)"]}\n'},
)  # fmt: skip
def formula_vote(
    *, data: Path, limit: int | None = None, samples: int = 5, max_new_tokens: int = 96
) -> Drawn:
    """Every sentence, `samples` times at temperature 1."""
    rows = rows_of(data, "formulas.jsonl", "formula_vote", ["sentence", "formula"], ["predicates"])
    for row in rows:
        try:
            read_formula(row["formula"])
        except ValueError as error:
            raise DataError(f"{data}: {row['id']}: 'formula': {error}") from None
    rows = limited(rows, limit, lambda row: row["id"])
    return Drawn(rows, "sentence", _ask, _read, samples, max_new_tokens)


def _ask(row: dict[str, Any]) -> Chat:
    return asked(WRITE.format(", ".join(row["predicates"]), row["sentence"]))


def _read(
    model: LanguageModel, row: dict[str, Any], given: Sequence[Completion]
) -> Iterable[ItemResult]:
    texts = [answer(one).text.strip() for one in given]
    found, failed = classes(texts), [one for one in map(unusable, given) if one.reason]
    voted = found[0].text if found else None
    allowed = survivor(found, partial(allows, model, row["sentence"])) or voted
    chosen = {VOTED: voted, MODAL: max(texts, key=texts.count), ALLOWED: allowed}
    for group, formula in chosen.items():
        name, about = f"{row['id']}/{group}", {"topic": row["topic"], "group": group}
        if failed:
            yield scored(name, RIGHT.name, failed, 0.0, **about)
            continue
        try:
            right = same_formula(read_formula(formula or ""), read_formula(row["formula"]))
            yield judged(name, RIGHT.name, right, response=formula, **about)
        except ValueError as error:
            yield unscored(name, RIGHT.name, f"no comparable formula: {error}", **about)
