"""Pairs as other rows: each form by hand."""

from random import Random
from typing import Any

import pytest

from whyfirst.config.errors import ConfigError
from whyfirst.config.room import Use
from whyfirst.data.transforms import TRANSFORMS

PAIRS = [
    {"prompt": "p", "chosen": "a b", "rejected": "c", "harmful": True},
    {"prompt": "q", "chosen": "d", "rejected": "d ", "harmful": True},
    {"prompt": "r", "chosen": "e g", "rejected": "f", "harmful": False},
]


def _all(
    form: str, pairs: list[dict[str, Any]], **options: str
) -> tuple[list[dict[str, Any]], list[Any]]:
    dropped: list[Any] = []
    use = Use.model_validate({"name": "pairs_as", "form": form, **options})
    made = TRANSFORMS.make(use, left_out=lambda row, why: dropped.append(row))(pairs, Random(0))
    return [dict(row) for row in made], dropped


def _made(form: str) -> list[dict[str, Any]]:
    rows, dropped = _all(form, PAIRS)
    assert dropped == PAIRS[1:2]  # two responses that differ by white space prefer nothing
    return rows


@pytest.mark.parametrize(
    ("form", "first"),
    [
        ("singles", {"prompt": "p", "completion": "a b", "label": True}),
        ("chosen", {"prompt": "p", "completion": "a b"}),
        ("lists", {"prompt": "p", "responses": ["a b", "c"], "labels": [1, 0]}),
        ("judged", {"prompt": "p", "completion": "c", "judgment": "no"}),
        ("joint", {"prompts": ["p", "r"], "responses": ["a b", "f"], "labels": [1, 0]}),
        ("hierarchy", {"prompts": ["p", "p", "p", "r"], "responses": ["a b", "c", "b a", "a b"]}),
        ("objectives", PAIRS[0] | {"objective": 1}),
    ],
)
def test_a_form_is_another(form: str, first: dict[str, Any]) -> None:
    rows = _made(form)
    assert rows[0] == first
    assert len(rows) == (4 if form == "singles" else 2)


def test_objectives_are_numbered_otherwise_than_their_values() -> None:
    assert [row["objective"] for row in _made("objectives")] == [1, 0]
    assert [row["label"] for row in _made("singles")] == [True, False, True, False]


def test_a_row_that_would_be_refused_before_training_is_left_out() -> None:
    """One word in another order is itself, and two pairs of a prompt are of no other prompt."""
    word, pair, twin = (
        {"prompt": prompt, "chosen": chosen, "rejected": "no"}
        for prompt, chosen in (("p", "yes"), ("q", "a b"), ("q", "c d"))
    )
    rows, dropped = _all("hierarchy", [word, pair, twin])
    assert [row["prompts"][-1] for row in rows] == ["p", "p"]
    assert dropped == [word]
    for form in ("joint", "hierarchy"):
        assert _all(form, [pair, twin]) == ([], [pair, twin])


def test_a_misspelt_column_makes_every_row_one_objective() -> None:
    with pytest.raises(ValueError, match="no column 'harmfull'"):
        _all("objectives", PAIRS, column="harmfull")
    rows, _ = _all("objectives", PAIRS, column="harmful")
    assert [row["objective"] for row in rows] == [1, 0]
    some = [PAIRS[0], {key: value for key, value in PAIRS[2].items() if key != "harmful"}]
    with pytest.raises(ValueError, match="no column 'harmful'"):
        _all("objectives", some)


@pytest.mark.parametrize(
    ("form", "option"), [("chosen", "column"), ("judged", "column"), ("objectives", "fault")]
)
def test_an_option_of_another_form_does_nothing(form: str, option: str) -> None:
    with pytest.raises(ConfigError, match=f"{option}: is of the form"):
        _all(form, PAIRS, **{option: "harmful"})
    assert _all("judged", PAIRS, fault="bad")[0][0]["judgment"] == "bad"
