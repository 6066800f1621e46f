"""Pairs in the form that an objective reads: one set of pairs for every objective side by side.

Leaves out: what a pair doesn't have (a reward model's margin, an aligned model's likelihood), which
other transforms and sources add.
"""

from collections.abc import Iterable, Iterator
from random import Random
from typing import Any, Literal

from whyfirst.data.transforms import TRANSFORMS, LeftOut, Row, Said

Form = Literal["singles", "chosen", "lists", "judged", "joint", "hierarchy", "objectives"]


def _of_another_form(options: Any) -> Iterator[tuple[str, str]]:
    for option, form in (("column", "objectives"), ("fault", "judged")):
        if getattr(options, option) is not None and options.form != form:
            yield option, f"is of the form {form}, and has no effect on {options.form}"


@TRANSFORMS.enter(
    "pairs_as",
    conflicts=_of_another_form,
    version="2",
    needs="prompt, chosen, rejected",
    streams=False,
    tested="each form by hand; no response is lost, and none is invented",
    columns={"prompt": Said, "chosen": str, "rejected": str},
)
def pairs_as(
    rows: Iterable[Row],
    rng: Random,
    *,
    left_out: LeftOut,
    form: Form,
    column: str | None = None,
    fault: str | None = None,
) -> Iterator[Row]:
    """Pairs as another shape of row.

    Args:
        form: ``singles`` (kto: two rows with a label), ``chosen`` (sft, poft), ``lists`` (two
            responses with labels), ``judged`` (the transform `judgments`: the rejected response
            with what is said of it), ``joint`` (dove: this row's chosen response against the next
            row's rejected one, the next of another prompt), ``hierarchy`` (physhpo: also the chosen
            one's words reversed, and under that other prompt; one of a single word is left out),
            ``objectives`` (mah_dpo: `objective` from a column's values).
        column: of ``objectives``: whose values are the objectives, numbered in their order; None:
            ``harmful``.
        fault: of ``judged``: the judgment, in words; None: ``no``.

    Raises:
        ValueError: a row without the column.
    """
    column, fault = column or "harmful", fault or "no"
    pairs: list[Row] = []
    for row in rows:
        if row["chosen"].split() == row["rejected"].split():
            left_out(row, "both responses are the same")
        else:
            pairs.append(row)
    # A column that isn't there would make every row objective 0.
    if form == "objectives" and any(column not in row for row in pairs):
        raise ValueError(f"a row has no column {column!r}, by which objectives are told apart")
    kinds = sorted({str(row.get(column)) for row in pairs})
    for at, row in enumerate(pairs):
        after = _of_another_prompt(pairs, at) if form in ("joint", "hierarchy") else row
        if after is None:
            left_out(row, "no pair of another prompt")
            continue
        words = row["chosen"].split()
        if form == "hierarchy" and words[::-1] in (words, row["rejected"].split()):
            left_out(row, "two of its responses to one prompt are the same")
            continue
        yield from _rows(form, row, after, kinds.index, column, fault)


def _of_another_prompt(pairs: list[Row], at: int) -> Row | None:
    """The next pair, round to the first, of another prompt."""
    others = (pairs[(at + step) % len(pairs)] for step in range(1, len(pairs)))
    return next((pair for pair in others if pair["prompt"] != pairs[at]["prompt"]), None)


def _rows(
    form: Form, row: Row, after: Row, number: Any, column: str, fault: str
) -> Iterator[dict[str, Any]]:
    prompt, chosen, rejected = row["prompt"], row["chosen"], row["rejected"]
    two = {"responses": [chosen, rejected], "labels": [1, 0]}
    if form == "singles":
        for text, good in ((chosen, True), (rejected, False)):
            yield {"prompt": prompt, "completion": text, "label": good}
    elif form == "chosen":
        yield {"prompt": prompt, "completion": chosen}
    elif form == "judged":
        yield {"prompt": prompt, "completion": rejected, "judgment": fault}
    elif form == "lists":
        yield {"prompt": prompt} | two
    elif form == "joint":
        joint = {"responses": [chosen, after["rejected"]], "labels": [1, 0]}
        yield {"prompts": [prompt, after["prompt"]]} | joint
    elif form == "hierarchy":
        disordered = " ".join(reversed(chosen.split()))
        responses = [chosen, rejected, disordered, chosen]
        yield {"prompts": [prompt] * 3 + [after["prompt"]], "responses": responses}
    else:
        yield dict(row) | {"objective": number(str(row.get(column)))}
