"""Logically equivalent and inequivalent forms of a sentence, and which is which.

Bao et al. 2023, "Abstract Meaning Representation-Based Logic-Driven Data Augmentation for Logical
Reasoning" (AMR-LE, later AMR-LDA), arXiv 2305.12599. In propositional form: a sentence of "if ...
then", "and", "or" and "not" becomes a formula; a law (contraposition, implication, commutation,
double negation) gives an equivalent one, breaking it an inequivalent one, and a truth table of the
sentence as it reads has the last word: words have no brackets, so that a nested form may read as
another formula. Leaves out: AMR graphs, quantifiers, and sentences outside that grammar.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import product
from random import Random
from typing import Any

from whyfirst.data.transforms import TRANSFORMS, LeftOut, Row

Formula = Any
"""An atom (text), or (connective, formula[, formula]) with not, and, or, if."""
NOT = "it is not the case that "


@TRANSFORMS.enter(
    "logic_pairs",
    version="3",
    paper="Bao et al. 2023, arXiv 2305.12599",
    needs="text",
    tested="by truth table every positive is equivalent and no negative is; parsing inverts saying",
    columns={"text": str},
    streams=True,
)
def logic_pairs(
    rows: Iterable[Row], rng: Random, *, left_out: LeftOut, negatives: int = 1
) -> Iterator[Row]:
    """Preference pairs: asked to say a sentence in other words, an equivalent one is chosen.

    Args:
        negatives: inequivalent forms for each equivalent one (the paper tries 1 to 3).
    """
    for row in rows:
        formula = parse(row["text"])
        right = [f for f in rewritings(formula) if f != formula and equivalent(f, formula)]
        wrong = [f for f in breakings(formula) if not equivalent(f, formula)]
        if not right or not wrong:
            left_out(row, "no law applies to it")
            continue
        kept: dict[bool, list[str]] = {True: [], False: []}
        for same, forms in ((True, right), (False, wrong)):
            for text in map(said, forms):
                if equivalent(parse(text), formula) is same:
                    kept[same].append(text)
                else:
                    left_out(row, "a form of it reads as something else")
        for good in kept[True]:
            for bad in rng.sample(kept[False], min(negatives, len(kept[False]))):
                yield {
                    "prompt": f"Say the same in other words: {row['text']}",
                    "chosen": good,
                    "rejected": bad,
                }


def parse(text: str) -> Formula:
    """The formula of a sentence; what is no connective is an atom."""
    text = text.strip().rstrip(".").strip()
    if match := re.fullmatch(r"(?i)if (.+?),? then (.+)", text):
        return ("if", parse(match[1]), parse(match[2]))
    for word in ("or", "and"):  # `and` binds more tightly
        if match := re.fullmatch(rf"(?i)(?:(?:either|both) )?(.+?),? {word} (.+)", text):
            return (word, parse(match[1]), parse(match[2]))
    if text.lower().startswith(NOT):
        return ("not", parse(text[len(NOT) :]))
    return text[:1].lower() + text[1:]


def said(formula: Formula) -> str:
    """A sentence that `parse` reads as the formula, where its parts don't nest."""
    text = _clause(formula)
    return f"{text[:1].upper()}{text[1:]}."


def _clause(formula: Formula) -> str:
    if isinstance(formula, str):
        return formula
    parts = [_clause(part) for part in formula[1:]]
    match formula[0]:
        case "not":
            return f"{NOT}{parts[0]}"
        case "if":
            return f"if {parts[0]}, then {parts[1]}"
    return f"{parts[0]} {formula[0]} {parts[1]}"


def negated(formula: Formula) -> Formula:
    """Its negation, two in a row taken away."""
    return formula[1] if formula[0] == "not" else ("not", formula)


def rewritings(formula: Formula) -> list[Formula]:
    """What the laws make of a formula."""
    if isinstance(formula, str) or formula[0] == "not":
        return []
    kind, a, b = formula
    if kind == "if":
        return [("if", negated(b), negated(a)), ("or", negated(a), b)]
    return [(kind, b, a), *([("if", negated(a), b)] if kind == "or" else [])]


def breakings(formula: Formula) -> list[Formula]:
    """What the laws broken make of it: the converse, the inverse, a part negated, another word."""
    if isinstance(formula, str) or formula[0] == "not":
        return [negated(formula)]
    kind, a, b = formula
    broken = [(kind, negated(a), b), (kind, a, negated(b)), (kind, negated(a), negated(b))]
    swapped = ("if", b, a) if kind == "if" else ("or" if kind == "and" else "and", a, b)
    return [*broken, swapped]


def atoms(formula: Formula) -> set[str]:
    """Its atoms."""
    if isinstance(formula, str):
        return {formula}
    return set().union(*(atoms(part) for part in formula[1:]))


def holds(formula: Formula, world: dict[str, bool]) -> bool:
    """Whether it is true where the atoms are."""
    if isinstance(formula, str):
        return world[formula]
    values = [holds(part, world) for part in formula[1:]]
    match formula[0]:
        case "not":
            return not values[0]
        case "and":
            return all(values)
        case "or":
            return any(values)
    return not values[0] or values[1]


def equivalent(one: Formula, other: Formula) -> bool:
    """Whether two formulas have the same truth table."""
    names = sorted(atoms(one) | atoms(other))
    worlds = (
        dict(zip(names, row, strict=True)) for row in product((False, True), repeat=len(names))
    )
    return all(holds(one, world) == holds(other, world) for world in worlds)
