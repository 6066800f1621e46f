"""What a store knows already: found once, and anew where anything it follows from has changed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from whyfirst.study.cost.arithmetic import Shape
from whyfirst.study.execute.known import known, recalled
from whyfirst.study.execute.store import CHECKED, Store

SHAPE = Shape(7, 6, 1, 2, 2, 2, 5, (("layers.0.up", 2, 4),), None)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def counted() -> tuple[list[int], Callable[[], list[str]]]:
    """How often it is asked, and what is asked."""
    asked: list[int] = []

    def find() -> list[str]:
        asked.append(1)
        return ["a row speaks another language"]

    return asked, find


def test_what_was_found_is_found_once_for_the_same_inputs(store: Store) -> None:
    asked, find = counted()
    first, again = (known(store, "rows", [1, "a"], list[str], find) for _ in range(2))
    assert first == again == ["a row speaks another language"] and len(asked) == 1
    known(store, "rows", [2, "a"], list[str], find)
    known(store, "other", [1, "a"], list[str], find)
    assert len(asked) == 3


@pytest.mark.parametrize("content", ['{"found": ["torn', '{"found": 3}', "[]", "{}", ""])
def test_a_finding_that_cannot_be_read_is_found_anew(store: Store, content: str) -> None:
    asked, find = counted()
    known(store, "rows", 1, list[str], find)
    next((store.root / CHECKED).glob("rows-*")).write_text(content)
    assert known(store, "rows", 1, list[str], find) == ["a row speaks another language"]
    known(store, "rows", 1, list[str], find)
    assert len(asked) == 2


def test_nothing_is_kept_of_a_refusal_or_of_what_is_not_known(store: Store) -> None:
    def refuse() -> list[str]:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        known(store, "rows", 1, list[str], refuse)
    assert known(store, "speed", 1, float, lambda: None) is None
    assert recalled(store, "speed", 1, float) is None
    assert not store.root.exists()
    assert known(store, "speed", 1, float, lambda: 2.5) == 2.5
    assert known(store, "speed", 1, float, lambda: None) == 2.5


def test_a_shape_comes_back_as_it_was(store: Store) -> None:
    known(store, "shape", 1, Shape, lambda: SHAPE)
    assert known(store, "shape", 1, Shape, lambda: None) == SHAPE
