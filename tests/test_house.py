"""The house: imports go downwards only, no circle, and one world is known to its package alone."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "docs" / "make"))
import imports as house  # type: ignore[import-not-found]  # noqa: E402


#: files outside its package that may name Hearth, and why
def test_every_part_of_the_package_stands_on_a_floor() -> None:
    """A new folder was on no floor, so that nothing was known of what it may import."""
    parts = {house.part_of(m) for m in house.imports() if m not in house.ENTRANCES}
    floors = [part for floor in house.FLOORS for part in floor]
    assert parts == set(floors) == set(house.PARTS)
    assert len(floors) == len(set(floors))


def test_imports_go_downwards() -> None:
    """`study` drew in `interop` to write a report, and `probe` the report to draw a figure."""
    upwards = {
        pair
        for (part, needed), pairs in house.arrows().items()
        if house.floor_of(needed) >= house.floor_of(part)
        for pair in pairs
    }
    assert upwards == set()


def test_no_two_files_import_each_other() -> None:
    """Nineteen files were in four circles, hidden in imports inside functions."""
    assert house.circle(house.imports()) == []


def test_a_circle_through_a_function_is_seen(tmp_path: Path) -> None:
    """The test of circles itself looked at the heads of files only."""
    (tmp_path / "a.py").write_text("def f():\n    from whyfirst.b import g\n")
    (tmp_path / "b.py").write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import whyfirst.c\n"
        "else:\n    import whyfirst.a\n"
    )
    (tmp_path / "c.py").write_text("import whyfirst.b\n")
    graph = house.imports(tmp_path, "whyfirst")
    assert graph == {
        "whyfirst.a": {"whyfirst.b"}, "whyfirst.b": {"whyfirst.a"}, "whyfirst.c": {"whyfirst.b"}
    }  # fmt: skip
    assert set(house.circle(graph)) == {"whyfirst.a", "whyfirst.b"}


def test_nobody_outside_its_package_names_hearth() -> None:
    """One world was known in 28 files, and a second one would have been a change in each."""
    package = ROOT / "src" / "whyfirst"
    naming = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if "worlds/" not in path.as_posix() and re.search("[Hh]earth", path.read_text())
    }
    assert not naming
