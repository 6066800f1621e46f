"""Sentences as formulas, the class of equivalent samples with most votes winning: ``formula_vote``.

CLOVER (Ryu et al. 2024, "Divide and Translate", arXiv 2410.08047): among a model's translations of
a sentence, those that are logically equivalent vote together, whatever their spelling. Equivalence
is that over a finite domain (logic.py). Leaves out: parsing a sentence into parts, and having the
model decide on counter-interpretations, where voting stands; a proof by a solver.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whyfirst.config.errors import DataError
from whyfirst.evaluate.audits.conditions import paired_gaps, rows_of
from whyfirst.evaluate.benchmark import Metric, Progress, benchmark
from whyfirst.evaluate.item import ItemResult, judged, limited, unscored
from whyfirst.evaluate.logic import read_formula, same_formula
from whyfirst.evaluate.scorers import Scorer
from whyfirst.models.base import LanguageModel, Sampling, asked
from whyfirst.models.said import answer

VOTED, MODAL = "voted", "most frequent"
RIGHT = Metric(
    "formula_vote", "Formula right",
    "Share of sentences whose formula, chosen from several samples by a vote of equivalence "
    "classes or as the most frequent spelling, is equivalent to the reference.",
)  # fmt: skip


def vote(formulas: Sequence[str]) -> str | None:
    """The first formula of the largest class of equivalent ones; None where none can be read.

    Of two classes as large the one seen first wins. What is no formula has no vote.
    """
    classes: list[tuple[str, Any, int]] = []
    for text in formulas:
        try:
            tree = read_formula(text)
            at = next((n for n, c in enumerate(classes) if same_formula(tree, c[1])), None)
        except ValueError:
            continue
        if at is None:
            classes.append((text, tree, 1))
        else:
            classes[at] = (*classes[at][:2], classes[at][2] + 1)
    return max(classes, key=lambda one: one[2])[0] if classes else None


@benchmark(
    "formula_vote",
    version="1",
    definition="Sampled first-order formulas of sentences, chosen by two kinds of vote.",
    needs="formulas.jsonl of sentence, formula and predicates (names with their arguments)",
    metrics=(RIGHT,),
    source="Ryu et al. 2024 (arXiv 2410.08047)",
    by=("group",),
    gaps=paired_gaps((VOTED, MODAL)),
    example={"formulas.jsonl": '{"sentence": "Dogs bark.", "formula": "∀x (Dog(x) → Barks(x))", '
             '"predicates": ["Dog(x)", "Barks(x)"]}\n'},
)  # fmt: skip
def formula_vote(
    *, data: Path, limit: int | None = None, samples: int = 5, max_new_tokens: int = 96
) -> "Translations":
    """Every sentence, several times.

    Args:
        samples: drawn at temperature 1.
    """
    rows = rows_of(data, "formulas.jsonl", "formula_vote", ["sentence", "formula"], ["predicates"])
    for row in rows:
        try:
            read_formula(row["formula"])
        except ValueError as error:
            raise DataError(f"{data}: {row['id']}: 'formula': {error}") from None
    return Translations(limited(rows, limit, lambda row: row["id"]), samples, max_new_tokens)


@dataclass(frozen=True)
class Translations:
    """Sentences with their reference formulas; a `benchmark.Task`."""

    rows: Sequence[dict[str, Any]]
    samples: int
    max_new_tokens: int

    @property
    def prompts(self) -> list[str]:
        """See `benchmark.Task`."""
        return [row["sentence"] for row in self.rows]

    def run(
        self, model: LanguageModel, scorers: Sequence[Scorer], progress: Progress
    ) -> list[ItemResult]:
        """See `benchmark.Task`; no scorer is asked."""
        prompts = [
            asked(
                "Write the sentence as one first-order formula, with ∀ ∃ ¬ ∧ ∨ → ↔ and these "
                f"predicates only: {', '.join(row['predicates'])}. Write the formula and nothing "
                f"else.\n{row['sentence']}"
            )
            for row in self.rows
        ]
        sampling = Sampling(max_new_tokens=self.max_new_tokens, temperature=1.0)
        progress(0, len(prompts), "sentences")
        drawn = model.generate(prompts, n=self.samples, sampling=sampling)
        progress(len(prompts), len(prompts), "sentences")
        out = []
        for row, given in zip(self.rows, drawn, strict=True):
            said = [(answer(one), one) for one in given]
            problem = next(((s.problem, c.transient) for s, c in said if s.problem), None)
            texts = [one.text.strip() for one, _ in said]
            modal = max(texts, key=texts.count)
            for group, chosen in ((VOTED, vote(texts)), (MODAL, modal)):
                about = {"topic": row["topic"], "group": group}
                name = f"{row['id']}/{group}"
                if problem is not None:
                    transient = True if problem[1] else None
                    out.append(unscored(name, RIGHT.name, str(problem[0]), transient=transient,
                                        **about))  # fmt: skip
                    continue
                try:
                    tree = read_formula(chosen or "")
                    right = same_formula(tree, read_formula(row["formula"]))
                except ValueError as error:
                    out.append(unscored(name, RIGHT.name, f"no comparable formula: {error}",
                                        **about))  # fmt: skip
                    continue
                out.append(judged(name, RIGHT.name, right, response=chosen, **about))
        return out
