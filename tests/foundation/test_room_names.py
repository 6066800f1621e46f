"""Rooms: wrong names are explained, plug-ins are found, a broken one hurts nobody."""

import sys
from pathlib import Path

import pytest

from whyfirst.config.errors import UserError, did_you_mean
from whyfirst.config.room import Room


def _package(folder: Path, name: str, code: str, entries: str) -> None:
    (folder / f"{name}.py").write_text(code)
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entries)


def two() -> int:
    """Two."""
    return 2


def one() -> int:
    """One."""
    return 1


def test_entered_methods_come_back_sorted() -> None:
    room: Room[int] = Room("numbers")
    room.enter("two")(two)
    room.enter("one")(one)
    assert room.names() == ["one", "two"]
    assert [(entry.name, entry.function) for entry in room.entries()] == [
        ("one", one),
        ("two", two),
    ]
    assert room.make("two") == 2


def test_unknown_name_names_the_nearest() -> None:
    room: Room[int] = Room("benchmarks")
    room.enter("preference")(one)
    with pytest.raises(UserError, match="benchmarks: no 'preferense'; did you mean 'preference'"):
        room.get("preferense")
    with pytest.raises(UserError, match=r"known: none"):
        Room[int]("empty").get("x")


def test_one_name_for_two_methods_is_refused() -> None:
    room: Room[int] = Room("methods")
    room.enter("a")(one)
    room.enter("a")(one)
    with pytest.raises(ValueError, match="entered twice"):
        room.enter("a")(two)


def test_installed_plugin_is_found_and_a_broken_one_is_only_mentioned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _package(
        tmp_path,
        "plugged_in_thing",
        "def answer():\n    return 42\n",
        "[whyfirst.gadgets]\nanswer = plugged_in_thing:answer\n",
    )
    _package(
        tmp_path,
        "broken_thing",
        "raise RuntimeError('no luck')\n",
        "[whyfirst.gadgets]\nbroken = broken_thing:x\n",
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    room: Room[int] = Room("gadgets")
    assert room.names() == ["answer"]
    assert room.make("answer") == 42
    with pytest.raises(UserError, match="plug-in 'broken' failed to load: RuntimeError: no luck"):
        room.get("broken")


def test_own_modules_are_imported_on_first_use_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lazy_widgets.py").write_text(
        "from lazy_room import widgets\n@widgets.enter('w')\ndef w():\n    return 'W'\n"
    )
    (tmp_path / "lazy_room.py").write_text(
        "from whyfirst.config.room import Room\nwidgets = Room('widgets', 'lazy_widgets')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    import lazy_room  # type: ignore[import-not-found]

    assert "lazy_widgets" not in sys.modules
    assert lazy_room.widgets.make("w") == "W"


def test_failed_import_of_an_own_module_is_not_forgotten() -> None:
    room: Room[int] = Room("widgets", "whyfirst.no_such_module")
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError):
            room.names()


def test_no_hint_where_nothing_is_near() -> None:
    assert did_you_mean("xyz", ["preference"]) == ""
