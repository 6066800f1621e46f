"""The pages of docs/ that are made from the code are what the code says."""

import importlib
import re
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
sys.path.insert(0, str(DOCS / "make"))
import architecture  # type: ignore[import-not-found]  # noqa: E402
import extending  # type: ignore[import-not-found]  # noqa: E402


def test_the_page_of_examples_shows_another_file_than_the_tested_one() -> None:
    kept = extending.PAGE.read_text(encoding="utf-8")
    assert kept == extending.page(), "run: python docs/make/extending.py"
    for kind in extending.KINDS:
        assert (extending.PLUGINS / kind.file).read_text(encoding="utf-8").rstrip() in kept


def test_every_kind_of_method_has_an_example() -> None:
    """A method was written for the tests and not shown, or shown and not run."""
    shown = {kind.file for kind in extending.KINDS}
    kept = {f"methods/{p.name}" for p in (extending.PLUGINS / "methods").glob("*.py")}
    assert shown == kept | {"package/whyfirst_length_guard.py"}


def test_the_drawing_and_the_page_of_the_house_are_stale() -> None:
    hint = "run: python docs/make/architecture.py"
    assert architecture.PAGE.read_text(encoding="utf-8") == architecture.page(), hint
    assert architecture.DRAWING.read_text(encoding="utf-8") == architecture.drawing(), hint


@pytest.mark.parametrize("way", ["ROW", "STAGE"])
def test_the_walk_names_a_function_that_is_gone(way: str) -> None:
    for _, *places in getattr(architecture, way):
        for place in places:
            names = place.split(".")
            while names:
                try:
                    at = importlib.import_module(".".join(names))
                    break
                except ModuleNotFoundError:
                    names.pop()
            for name in place.split(".")[len(names) :]:
                at = getattr(at, name)  # AttributeError: it is gone


def test_an_arrow_that_another_way_says_is_drawn() -> None:
    assert architecture.reduced({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == {
        "a": ["b"], "b": ["c"], "c": []
    }  # fmt: skip


def test_pages_link_to_what_is_there() -> None:
    for page in (architecture.PAGE, extending.PAGE):
        links = re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8"))
        assert [link for link in links if not (DOCS / link).exists()] == []
