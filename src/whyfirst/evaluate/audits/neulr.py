"""Reasoning with content taken out: ``neulr``.

Xu et al. 2023, "Are Large Language Models Really Good Logical Reasoners?", arXiv 2306.09841: the
neutral content of their NeuLR. Chains of "every A is a B" over real words that hold or not in the
world, and the same over words that mean nothing; a solver gives the answer of both. Leaves out: the
fifteen data sets, induction and abduction, and explanations with their error types.
"""

from collections.abc import Iterable, Sequence
from random import Random

from whyfirst.evaluate.audits.conditions import Answer, Ask, Shares, by_rows, scored
from whyfirst.evaluate.benchmark import Metric, benchmark
from whyfirst.evaluate.gaps import paired_gaps
from whyfirst.evaluate.item import ItemResult
from whyfirst.evaluate.puzzles import CHAINS, Puzzle, neutral, puzzles

REAL, NEUTRAL = "real words", "neutral words"
ACCURACY = Metric(
    "neulr", "Reasoning without content",
    "Share of questions whose right answer, yes or no, is the likelier one.", chance=0.5,
)  # fmt: skip


@benchmark(
    "neulr",
    version="1",
    definition="Transitive chains over real words and over words without meaning, by likelihood.",
    metrics=(ACCURACY,),
    source="Xu et al. 2023 (arXiv 2306.09841)",
    by=("group",),
    gaps=paired_gaps((REAL, NEUTRAL)),
)
def neulr(*, limit: int = 64) -> Shares:
    """So many puzzles under both conditions."""
    rows = [
        (at, group, one)
        for at, real in enumerate(puzzles(limit))
        for group, one in ((REAL, real), (NEUTRAL, neutral(real, Random(at))))
    ]
    return by_rows(rows, _asks, _read, lambda row: row[2].text)


def _asks(row: tuple[int, str, Puzzle]) -> Iterable[Ask]:
    at, group, one = row
    yield Ask(f"chain:{at}/{group}", one.text, (" yes", " no"))


def _read(row: tuple[int, str, Puzzle], answers: Sequence[Answer]) -> Iterable[ItemResult]:
    at, group, one = row
    yield scored(
        f"chain:{at}/{group}", ACCURACY.name, answers,
        lambda: float((answers[0].shares[0] > answers[0].shares[1]) == one.answer),
        prompt=one.text, group=group, topic=str(at // 4 % len(CHAINS)),
    )  # fmt: skip
