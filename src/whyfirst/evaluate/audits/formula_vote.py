"""Sentences as formulas, the class of equivalent samples with most votes winning: ``formula_vote``.

CLOVER (Ryu et al. 2024, "Divide and Translate", arXiv 2410.08047): among a model's translations of
a sentence, those that are logically equivalent vote together, whatever their spelling; and the
model is shown interpretations in which two classes differ and says what the sentence allows, which
drops one of them (where none is left, the vote stands). Leaves out: parsing a sentence into parts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from whyfirst.config.errors import DataError
from whyfirst.evaluate.audits.conditions import paired_gaps, rows_of, shares_of
from whyfirst.evaluate.benchmark import Metric, Progress, benchmark
from whyfirst.evaluate.formula_classes import classes, survivor
from whyfirst.evaluate.item import ItemResult, judged, limited, unscored
from whyfirst.evaluate.logic import read_formula, same_formula
from whyfirst.evaluate.scorers import Scorer
from whyfirst.models.base import LanguageModel, Sampling, asked
from whyfirst.models.said import answer

VOTED, MODAL, ALLOWED = "voted", "most frequent", "by interpretations"
RIGHT = Metric(
    "formula_vote", "Formula right",
    "Share of sentences whose formula, chosen from several samples by a vote of equivalence "
    "classes, as the most frequent spelling or by interpretations, is equivalent to the reference.",
)  # fmt: skip


ALLOWS = (
    "Sentence: {sentence}\nSituation: {facts}.\nDoes the sentence, if it is true, allow this "
    "situation? Answer Yes or No."
)


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
            found = classes(texts)
            voted = found[0].text if found else None
            allowed = survivor(found, partial(_allows, model, row["sentence"]))
            for group, chosen in ((VOTED, voted), (MODAL, modal), (ALLOWED, allowed or voted)):
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


def _allows(model: LanguageModel, sentence: str, world: Mapping[str, bool]) -> bool | None:
    """Whether the model holds that a sentence allows an interpretation; None where it can't say."""
    facts = "; ".join(
        f"{atom.removesuffix('()').replace('#', 'thing ')} is {str(value).lower()}"
        for atom, value in world.items()
    )
    ask = asked(ALLOWS.format(sentence=sentence, facts=facts))
    said = shares_of(model.loglikelihood([(ask, ("Yes", "No"))])[0])
    return None if said.reason else said.shares[0] > 0.5
