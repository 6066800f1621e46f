"""Rooms: options checked before use, context given, identity by source, plug-ins as files."""

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import pytest

from whyfirst.config import plugins
from whyfirst.config.errors import ConfigError, UserError
from whyfirst.config.room import Room, Use
from whyfirst.config.strict import output_fields

PLUGIN = '''
from whyfirst.train.objectives import OBJECTIVES
from {helper} import SIGN

@OBJECTIVES.enter("{name}", paper="None 2026")
def {name}(scores, *, scale: float = 1.0):
    """The policy's log-probability, scaled."""
    return SIGN * scale * scores.sequence_logp.sum(-1)
'''


@pytest.fixture
def room() -> Room[float]:
    room: Room[float] = Room("sums", context=("model",))

    @room.enter("scaled", version="2", columns=("a",))
    def scaled(x: float, *, factor: float, kind: Literal["up", "down"] = "up") -> float:
        """Times a factor."""
        return x * factor * (1 if kind == "up" else -1)

    @room.enter("asking")
    def asking(*, model: str, times: int = 1) -> list[str]:
        """A list made from the context."""
        return [model] * times

    return room


def test_options_are_bound_and_the_rest_is_left_to_be_given(room: Room[float]) -> None:
    assert room.make(Use(name="scaled", factor=3.0))(2.0) == 6.0
    assert room.make(Use(name="asking", times=2), model="m") == ["m", "m"]
    with pytest.raises(UserError, match="needs a model"):
        room.make("asking")


def test_every_wrong_option_is_told_at_its_place(room: Room[float]) -> None:
    wrong = Use(name="scaled", factro=1.0, kind="upp")
    assert dict(room.problems(wrong)) == {
        ("factor",): "missing; this key is required",
        ("factro",): "unknown key; did you mean 'factor'?",
        ("kind",): "'upp' is not one of up, down; did you mean 'up'?",
    }
    assert [at for at, _ in room.problems(Use(name="scald", factor=1.0))] == [("name",)]
    # The context is the runner's to give, so a file can't set it.
    assert [at for at, _ in room.problems(Use(name="asking", model="x"))] == [("model",)]
    with pytest.raises(ConfigError, match="expected a number, found 'two'"):
        room.make(Use(name="scaled", factor="two"))


def test_identity_holds_version_and_options_and_use_its_options(room: Room[float]) -> None:
    use = Use(name="scaled", factor=2.0)
    mark = room.identity(use)
    assert (mark["name"], mark["version"], mark["options"]) == ("scaled", "2", {"factor": 2.0})
    assert len(mark["source"]) == 64  # a test is no module of the project's
    assert output_fields(use) == {"name": "scaled", "factor": 2.0}
    assert Use.model_validate("scaled") == Use(name="scaled")
    assert room.get("scaled").facts == {"columns": ("a",)}
    assert room.get("scaled").example == "{name: scaled, factor: ...}"


def plugin(folder: Path, name: str, sign: str = "1") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}_help.py").write_text(f"SIGN = {sign}\n")
    file = folder / f"{name}.py"
    file.write_text(PLUGIN.format(name=name, helper=f"{name}_help"))
    return file


def identity(file: Path) -> str:
    """The identity a fresh process finds for a plug-in, which it is told of by the variable."""
    code = (
        f"from whyfirst.train.objectives import OBJECTIVES as O; print(O.identity('{file.stem}'))"
    )
    environment = {**os.environ, plugins.VARIABLE: str(file)}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    return run.stdout


def test_plugin_counts_by_its_source_and_that_of_what_it_imports(tmp_path: Path) -> None:
    first = identity(plugin(tmp_path / "a", "mine"))
    assert "'source':" in first
    assert identity(plugin(tmp_path / "b", "mine")) == first  # wherever it lies
    assert identity(plugin(tmp_path / "a", "mine", sign="-1")) != first  # a helper's sign flipped


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import sys\nsys.exit(0)\n", "bad.py:2: SystemExit: 0"),
        ("x = 1\n1 / 0\n", "bad.py:2: ZeroDivisionError"),
        ("def f(:\n", "bad.py:1: SyntaxError"),
    ],
)
def test_plugin_that_fails_or_exits_is_told_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, told: str
) -> None:
    monkeypatch.setenv(plugins.VARIABLE, "")
    (tmp_path / "bad.py").write_text(text)
    with pytest.raises(UserError, match=told):
        plugins.use([tmp_path / "bad.py"])
    assert os.environ[plugins.VARIABLE] == ""  # what is started next doesn't fail with it


def test_missing_plugin_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(plugins.VARIABLE, "")
    with pytest.raises(UserError, match="no such file"):
        plugins.use([tmp_path / "none.py"])


def test_an_option_that_another_leaves_without_effect_is_taken() -> None:
    room: Room[float] = Room("sums")

    def idle(options: Any) -> Any:
        if options.kind == "up" and options.depth != 1:
            yield "depth", "has no effect on up"

    @room.enter("sunk", conflicts=idle)
    def sunk(x: float, *, kind: Literal["up", "down"] = "up", depth: int = 1) -> float:
        return x - depth

    assert list(room.problems(Use(name="sunk", depth=3))) == [(("depth",), "has no effect on up")]
    assert list(room.problems(Use(name="sunk", depth=3, kind="down"))) == []
    # An option that is wrong by itself is told of alone.
    assert [at for at, _ in room.problems(Use(name="sunk", depth="deep"))] == [("depth",)]
    with pytest.raises(ConfigError, match="sunk: depth: has no effect on up"):
        room.make(Use(name="sunk", depth=3))


def test_an_option_is_shadowed_by_its_sections_key(room: Room[float]) -> None:
    """`{name: heavy, weight: 2}` would set the section's weight and leave the method's own."""

    def heavy(x: float, *, weight: float = 1.0) -> float:
        return x * weight

    with pytest.raises(ValueError, match="'scaled' has the option 'factor'"):
        room.reserve(["factor"])
    room = Room("sums", context=("model",))
    room.reserve(["weight", "model"])
    with pytest.raises(ValueError, match="'heavy' has the option 'weight', which is a key of"):
        room.enter("heavy")(heavy)
    assert room.names() == []
    with pytest.raises(ValueError, match="'called' has the option 'name'"):
        room.enter("called")(lambda *, name="x": name)


def test_what_a_packaged_plug_in_imports_inside_its_functions_counts_once_it_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Modules were looked for within the package's own folder, where none is by its whole name."""
    package = tmp_path / "lazy_methods"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "methods.py").write_text("def f():\n    from lazy_methods import helpers\n")
    (tmp_path / "installed_beside.py").write_text("X = 1\n")
    (package / "helpers.py").write_text("import installed_beside\n")
    monkeypatch.syspath_prepend(tmp_path)
    import_module("lazy_methods.methods")
    before = plugins.source_identity("lazy_methods.methods")
    import_module("lazy_methods.helpers")
    assert plugins.source_identity("lazy_methods.methods") == before
    (tmp_path / "installed_beside.py").write_text("X = 2\n")
    assert plugins.source_identity("lazy_methods.methods") == before
    (package / "helpers.py").write_text("import installed_beside  # changed\n")
    assert plugins.source_identity("lazy_methods.methods") != before
