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
import methods  # type: ignore[import-not-found]  # noqa: E402
from pydantic import TypeAdapter  # noqa: E402

from whyfirst.config.room import Use  # noqa: E402
from whyfirst.config.strict_yaml import read_yaml  # noqa: E402
from whyfirst.train.config import StageConfig  # noqa: E402


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


def test_the_page_of_methods_is_stale() -> None:
    kept = methods.PAGE.read_text(encoding="utf-8")
    assert kept == methods.page(), "run: python docs/make/methods.py"


def lines() -> dict[str, list[str]]:
    """Kind -> what stands in the first column of its table, of the page as it is kept."""
    parts = methods.PAGE.read_text(encoding="utf-8").split("\n## ")[1:]
    found = [re.findall(r"^\| `(.+?)` \|", part, re.MULTILINE) for part in parts]
    return dict(zip(methods.TITLES, found, strict=True))


@pytest.mark.parametrize("kind", methods.TITLES)
def test_a_line_of_the_page_is_no_part_of_a_study_file(kind: str, tmp_path: Path) -> None:
    """Each parses, its name is known, and its options are ones that the method takes."""
    room = methods.room_of(kind)
    for line in lines()[kind]:
        file = tmp_path / "line.yaml"
        file.write_text(line if line.startswith("{") or ": " in line else f"use: {line}")
        value = read_yaml(file).data
        if kind == "benchmarks":
            [(name, options)] = value.items()
            value = {"name": name} | options
        elif kind not in ("transforms", "selectors", "reproductions") or "use" in value:
            [value] = value.values()
        [value] = value if isinstance(value, list) else [value]
        if kind == "kinds":
            if value["kind"] != "recover" or methods.room_of("surgeries").names():
                TypeAdapter(StageConfig).validate_python(value)
            continue
        if kind == "corpora":
            value["name"] = value.pop("source")
        assert list(room.problems(Use.model_validate(value))) == [], line


def test_a_method_is_on_no_page() -> None:
    for kind, found in lines().items():
        assert len(found) == len(methods.entries(kind)), kind
