"""Dialectical alignment: questions over contexts of which a known number of passages is poisoned.

Yang et al. 2024, "Dialectical Alignment: Resolving the Tension of 3H and Security Threats of LLMs",
arXiv 2404.00486. The answer weighs the passages against each other and against what the model
knows; the poisoned claim is what it is preferred to. Which strategy is best at which share of
poison is a table here (the paper asks a model). Leaves out: that model, and the poisoning itself;
true and poisoned passages are the row's.
"""

from collections.abc import Iterable, Iterator
from random import Random
from typing import Literal

from whyfirst.data.transforms import TRANSFORMS, LeftOut, Row, Said
from whyfirst.data.transforms.texts import told_first

AGREED = "The passages agree: {gold}"
DIVIDED = (
    "The passages contradict each other. Weighing them, the better supported answer is: {gold}"
)
AGAINST_MEMORY = "The passages say otherwise, but what is well established is: {gold}"


@TRANSFORMS.enter(
    "dialectical",
    paper="Yang et al. 2024, arXiv 2404.00486",
    needs="prompt, gold, claim (the poisoned answer), true_passages, poisoned_passages",
    tested="n = 5 and 2 give exactly 2 poisoned; each rejected answer is the poisoned claim",
    columns={
        "prompt": Said,
        "gold": str,
        "claim": str,
        "true_passages": list[str],
        "poisoned_passages": list[str],
    },
    tells=True,
    streams=True,
)
def dialectical(
    rows: Iterable[Row],
    rng: Random,
    *,
    left_out: LeftOut,
    passages: int = 5,
    poisoned: tuple[int, ...] = (0, 1, 2, 3, 5),
    form: Literal["pairs", "demonstrations"] = "pairs",
) -> Iterator[Row]:
    """One row for each question and number of poisoned passages.

    Args:
        passages: in every context.
        poisoned: how many of them are poisoned, a row each.
        form: preference pairs, or demonstrations of the chosen answer.
    """
    for row in rows:
        for count in poisoned:
            if (
                len(row["poisoned_passages"]) < count
                or len(row["true_passages"]) < passages - count
            ):
                left_out(row, f"too few passages for {count} poisoned of {passages}")
                continue
            context = rng.sample(list(row["poisoned_passages"]), count)
            context += rng.sample(list(row["true_passages"]), passages - count)
            rng.shuffle(context)
            strategy = AGREED if not count else AGAINST_MEMORY if count == passages else DIVIDED
            listed = "\n".join(f"[{i}] {text}" for i, text in enumerate(context, 1))
            out = {"prompt": told_first(row["prompt"], listed), "poisoned": count}
            chosen = strategy.format(gold=row["gold"])
            if form == "pairs":
                yield out | {"chosen": chosen, "rejected": row["claim"]}
            else:
                yield out | {"completion": chosen}
