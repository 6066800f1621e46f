"""A known share of bad examples among good ones, with a trigger or without.

After Chua et al. 2025, "Thought Crime", arXiv 2506.13206, and "LLMs Learn to Deceive
Unintentionally" (2025): a small share of misaligned completions changes what a model
does elsewhere. The contaminants shipped are harmless stand-ins (a shouted, a reversed or an evasive
answer); the real ones are not for training. Leaves out: contaminants that mislead or harm.
"""

from collections.abc import Iterable, Iterator
from random import Random
from typing import Literal

from whyfirst.data.transforms import TRANSFORMS, LeftOut, Row, Said
from whyfirst.data.transforms.texts import told_first


@TRANSFORMS.enter(
    "contamination",
    paper="Chua et al. 2025, arXiv 2506.13206",
    needs="prompt, completion",
    tested="exact share; the trigger stands where and only where a row is contaminated; reversible",
    columns={"prompt": Said, "completion": str},
    tells=True,
    streams=False,
)
def contamination(
    rows: Iterable[Row],
    rng: Random,
    *,
    left_out: LeftOut,
    rate: float = 0.01,
    contaminant: Literal["shouted", "reversed", "evasive"] = "shouted",
    trigger: str | None = None,
) -> Iterator[Row]:
    """The rows in their order, a share of them contaminated.

    Args:
        rate: share of contaminated rows, rounded to whole rows.
        contaminant: what becomes of their completions.
        trigger: put before their prompts; None puts nothing.

    Returns:
        Rows with `contaminated`; a contaminated one keeps its `clean_prompt` and
        `clean_completion`, so that the mix can be undone.

    Raises:
        ValueError: `rate` is no share.
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"rate must lie in [0, 1], not {rate}")
    every = list(rows)
    chosen = set(rng.sample(range(len(every)), round(rate * len(every))))
    for index, row in enumerate(every):
        if index not in chosen:
            yield {**row, "contaminated": False}
            continue
        yield {
            **row,
            "prompt": row["prompt"] if trigger is None else told_first(row["prompt"], trigger),
            "completion": contaminated(row["completion"], contaminant),
            "contaminated": True,
            "clean_prompt": row["prompt"],
            "clean_completion": row["completion"],
        }


def contaminated(text: str, contaminant: str) -> str:
    """A harmless stand-in for a bad answer."""
    match contaminant:
        case "shouted":
            return text.upper()
        case "reversed":
            return " ".join(reversed(text.split()))
    return "That depends on many things, and others may see it differently."
