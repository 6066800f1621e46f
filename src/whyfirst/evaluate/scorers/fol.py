"""How close a first-order formula is to a reference: ``fol``.

Metrics that Thatikonda et al. 2025, "Assessing the Alignment of FOL Closeness Metrics with Human
Judgement", arXiv 2501.08613, compare. ``le``, after LogicLLaMA, is the best truth-table agreement
over bindings of the literals; it can't tell P -> Q from Q -> P, which ``equivalent`` can. Leaves
out: METEOR, BERTScore and Smatch++, and scoring what is no formula as 0: it is unscored.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import islice, permutations, product
from typing import Any, Literal

from whyfirst.data.transforms.logic_pairs import Formula, atoms, holds
from whyfirst.evaluate.item import Item
from whyfirst.evaluate.logic import MOST_ATOMS, read_formula, same_formula, spelled_out, tokens
from whyfirst.evaluate.scorers import SCORERS, Scorer
from whyfirst.evaluate.verdict import Verdict, unscored

_BINDINGS = 1000


def agreement(one: str, other: str, rebind: bool = True) -> float:
    """LE: share of truth-table rows on which two formulas agree, over the best binding.

    Quantifiers are taken off, so that literals are what is bound; the side with fewer gets dummies.

    Raises:
        ValueError: either is no formula, or there are too many literals.
    """
    a, b = (_literals(read_formula(text)) for text in (one, other))
    left, right = sorted(atoms(a)), sorted(atoms(b))
    if not rebind:
        left = right = sorted({*left, *right})
    size = max(len(left), len(right))
    if size > MOST_ATOMS:
        raise ValueError(f"{size} literals are too many for a truth table")
    rows = list(product((False, True), repeat=size))
    left += [f" {n}" for n in range(size - len(left))]
    right += [f" {n}" for n in range(size - len(right))]
    want = [holds(a, dict(zip(left, row, strict=True))) for row in rows]
    orders = islice(permutations(right), _BINDINGS) if rebind else [tuple(right)]
    return max(
        sum(w == holds(b, dict(zip(order, row, strict=True)))
            for w, row in zip(want, rows, strict=True)) / len(rows)
        for order in orders
    )  # fmt: skip


def _literals(tree: Any) -> Formula:
    while tree[0] in ("∀", "∃"):
        tree = tree[2]
    return spelled_out(tree, ("x",))


def bleu(one: str, other: str) -> float:
    """BLEU of the tokens against the reference `other`, up to 4-grams; 1 on identity only."""
    said, right = tokens(one), tokens(other)
    most = min(4, len(said), len(right))
    logs = 0.0
    for n in range(1, most + 1):
        grams, wanted = (Counter(zip(*(s[k:] for k in range(n)), strict=False))
                         for s in (said, right))  # fmt: skip
        shared = (grams & wanted).total()
        if shared == 0:
            return 0.0
        logs += math.log(shared / grams.total()) / most
    return math.exp(logs + min(0.0, 1 - len(right) / len(said))) if most else 0.0


def rouge_l(one: str, other: str) -> float:
    """F1 of the longest common subsequence of tokens."""
    said, right = tokens(one), tokens(other)
    best = [0] * (len(right) + 1)
    for token in said:
        row = [0]
        for at, wanted in enumerate(right):
            row.append(best[at] + 1 if token == wanted else max(best[at + 1], row[at]))
        best = row
    return 2 * best[-1] / (len(said) + len(right)) if said and right else 0.0


def _equivalent(one: str, other: str) -> float:
    return float(same_formula(read_formula(one), read_formula(other)))


METRICS: dict[str, Callable[[str, str], float]] = {
    "equivalent": _equivalent, "le": agreement, "bleu": bleu, "rouge_l": rouge_l,
}  # fmt: skip


class Fol(Scorer):
    """See `fol`."""

    version, question = "1", "equivalent"

    def __init__(self, metric: str) -> None:
        self.name, self.metric = f"fol-{metric}", METRICS[metric]

    def read(self, items: Sequence[Item], responses: Sequence[str]) -> list[Verdict]:
        """See `Scorer.read`; the best of the references counts."""
        out = []
        for item, response in zip(items, responses, strict=True):
            try:
                read_formula(response)
                scores = [self.metric(response.strip(), one) for one in item.correct]
            except ValueError as error:
                out.append(unscored(f"no comparable formula: {error}"))
                continue
            if scores:
                score = max(scores)
                out.append(Verdict("pass" if score == 1 else "fail", score=score))
            else:
                out.append(unscored("no reference formula"))
        return out


@SCORERS.enter(
    "fol", question="equivalent", paper="Thatikonda et al. 2025, arXiv 2501.08613",
    needs="items with a reference formula", graded=lambda options: options.metric != "equivalent",
    tested="LE: P->Q and ~P|Q 1, P&Q and P|Q 1/2, P->Q and Q->P 1 bound anew and 1/2 if not",
)  # fmt: skip
def fol(*, metric: Literal["equivalent", "le", "bleu", "rouge_l"] = "equivalent") -> Scorer:
    """How close a formula is to a reference; passes where nothing tells them apart."""
    return Fol(metric)
