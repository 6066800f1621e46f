"""Responses that the current model draws to the prompts of a corpus, kept as they are drawn.

Each prompt's draws depend on nothing but the model, the prompt and the seed, so that a run killed
half-way goes on where it stopped and ends with the same rows. Leaves out: what is made of the
responses (the sources beside this).
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from whyfirst.data.rows import text_of
from whyfirst.models.base import Sampling
from whyfirst.models.replies import KeptModel

Rows = Sequence[dict[str, Any]]
Progress = Callable[[int, int, str], None]
AT_ONCE = 64
"""Prompts a call: what a kill can cost."""


def within_cap(rows: Rows, k: int, length: int, most: int | None) -> list[dict[str, Any]]:
    """The first prompts whose responses, all as long as they may be, stay under a cap of tokens."""
    return list(rows if most is None else rows[: most // (k * length)])


def sampled(
    model: Any, rows: Rows, k: int, sampling: Sampling, kept: Path,
    progress: Progress,
) -> list[list[str]]:  # fmt: skip
    """`k` responses to each row's prompt, as every stage would write the prompt.

    Raises:
        DataError: a row without a prompt.
    """
    prompts = as_asked(model, rows)
    keeps = KeptModel(model, kept, AT_ONCE)
    found: list[list[str]] = []
    for start in range(0, len(prompts), AT_ONCE):
        for row in keeps.generate(prompts[start : start + AT_ONCE], k, sampling):
            # One that failed (a prompt over the context) is no response.
            texts = [said.text for said in row if said.problem is None]
            found.append([continued(model.tokenizer, text) for text in texts])
        progress(len(found), len(prompts), "prompts")
    return found


def continued(tokenizer: Any, text: str) -> str:
    """A response as it stands behind its prompt.

    A tokenizer of whole words drops the space that a reply begins with when it is decoded; without
    it the reply's first word would run into the prompt's last one.
    """
    spaced = f" {text}"
    same = tokenizer(spaced, add_special_tokens=False) == tokenizer(text, add_special_tokens=False)
    return spaced if same and not text[:1].isspace() else text


def as_asked(model: Any, rows: Rows) -> list[str]:
    """Each row's prompt as text, written as every stage and evaluation would write it.

    Raises:
        DataError: a row without a prompt.
    """
    from whyfirst.train.prompts import prompts_of

    return prompts_of(model.tokenizer, list(rows), Path("prompts"), 0.0).texts


def as_long_as_may_be(
    rows: Sequence[Mapping[str, Any]], k: int, length: int
) -> list[tuple[Mapping[str, Any], list[str]]]:
    """Each row with responses of so many tokens that nobody has written yet, for `plan`."""
    begun = ["word"] * (length - 1)
    longest = [" ".join([*begun, f"word{number}"]) for number in range(k)]  # no two of them alike
    return [(row, list(longest)) for row in rows if text_of(row.get("prompt", ""))]
