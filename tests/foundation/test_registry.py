"""Registries: wrong names are explained, plug-ins are found, a broken one hurts nobody."""

import sys
from pathlib import Path

import pytest

from whyfirst.config.errors import UserError
from whyfirst.config.registry import Registry
from whyfirst.config.suggest import did_you_mean


def _package(folder: Path, name: str, code: str, entries: str) -> None:
    (folder / f"{name}.py").write_text(code)
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entries)


def test_registered_things_come_back_sorted() -> None:
    registry: Registry[int] = Registry("numbers")
    registry.register("two")(2)
    registry.register("one")(1)
    assert registry.names() == ["one", "two"]
    assert registry.items() == [("one", 1), ("two", 2)]
    assert registry.get("two") == 2


def test_unknown_name_names_the_nearest() -> None:
    registry: Registry[int] = Registry("benchmarks")
    registry.register("preference")(1)
    with pytest.raises(UserError, match="benchmarks: no 'preferense'; did you mean 'preference'"):
        registry.get("preferense")
    with pytest.raises(UserError, match=r"known: none"):
        Registry[int]("empty").get("x")


def test_one_name_for_two_things_is_refused() -> None:
    registry: Registry[object] = Registry("things")
    thing = object()
    registry.register("a")(thing)
    registry.register("a")(thing)
    with pytest.raises(ValueError, match="registered twice"):
        registry.register("a")(object())


def test_installed_plugin_is_found_and_a_broken_one_is_only_mentioned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _package(
        tmp_path,
        "plugged_in_thing",
        "answer = 42\n",
        "[whyfirst.gadgets]\nanswer = plugged_in_thing:answer\n",
    )
    _package(
        tmp_path,
        "broken_thing",
        "raise RuntimeError('no luck')\n",
        "[whyfirst.gadgets]\nbroken = broken_thing:x\n",
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    registry: Registry[int] = Registry("gadgets")
    assert registry.names() == ["answer"]
    assert registry.get("answer") == 42
    with pytest.raises(UserError, match="plug-in 'broken' failed to load: RuntimeError: no luck"):
        registry.get("broken")


def test_own_modules_are_imported_on_first_use_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lazy_widgets.py").write_text(
        "from lazy_registry import widgets\nwidgets.register('w')('W')\n"
    )
    (tmp_path / "lazy_registry.py").write_text(
        "from whyfirst.config.registry import Registry\n"
        "widgets = Registry('widgets', ['lazy_widgets'])\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    import lazy_registry  # type: ignore[import-not-found]

    assert "lazy_widgets" not in sys.modules
    assert lazy_registry.widgets.get("w") == "W"


def test_failed_import_of_an_own_module_is_not_forgotten() -> None:
    registry: Registry[int] = Registry("widgets", ["whyfirst.no_such_module"])
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError):
            registry.names()


def test_no_hint_where_nothing_is_near() -> None:
    assert did_you_mean("xyz", ["preference"]) == ""
