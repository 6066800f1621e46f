"""What a stranger gets: the wheel, pinned versions, make's stamps, and a README that is true."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "whyfirst"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The README's fenced blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def sources(folder: Path) -> Iterator[Path]:
    """Files that should ship: no caches, nothing hidden."""
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.is_file() and not any(p == "__pycache__" or p.startswith(".") for p in parts):
            yield path


# --- the wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's wheel, built from a copy of what the build reads."""
    pytest.importorskip("hatchling", reason="hatchling is not installed")
    top = tmp_path_factory.mktemp("build")
    for name in ("pyproject.toml", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(ROOT / name, top)
    ignored = shutil.ignore_patterns("__pycache__", ".*_cache")
    for name in ("src", "studies"):
        shutil.copytree(ROOT / name, top / name, ignore=ignored)
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "dist"],
        cwd=top, check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    return next((top / "dist").glob("*.whl"))


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(wheel: Path) -> None:
    """Templates, styles, schemas, base models or studies were left out of the wheel."""
    names = {n for n in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in n}
    package = {f"whyfirst/{p.relative_to(PACKAGE).as_posix()}" for p in sources(PACKAGE)}
    studies = {
        f"whyfirst/studies/{p.relative_to(ROOT / 'studies').as_posix()}"
        for p in sources(ROOT / "studies")
    }
    assert names == package | studies
    kinds = {PurePosixPath(name).suffix for name in names}
    assert {".yaml", ".j2", ".css", ".json", ".safetensors", ".py", ".typed"} <= kinds


def test_the_installed_wheel_works_away_from_the_checkout(wheel: Path, tmp_path: Path) -> None:
    """Studies and worlds were found in a checkout only."""
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = (
        "import whyfirst, whyfirst.cli, sys; assert whyfirst.__file__.startswith(sys.argv[1]);"
        "whyfirst.cli.main(['list', '--json'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "site")],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site"), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    listed = json.loads(done.stdout)
    expected = {path.stem for path in (ROOT / "studies").glob("*.yaml")}
    assert {row["name"] for row in listed["studies"]} == expected
    assert "hhh" in {row["name"] for row in listed["constitutions"]}
    assert listed["worlds"]


# --- dependencies


def pins() -> dict[str, str]:
    """Canonical name -> version of constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    found = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in found}


def declared(*extras: str) -> list[Requirement]:
    """The project's own requirements."""
    groups = [PROJECT["dependencies"], *(PROJECT["optional-dependencies"][e] for e in extras)]
    return [Requirement(text) for group in groups for text in group]


def test_constraints_are_plain_versions() -> None:
    """A pin was bound to one build (``+cpu``), one index or one machine."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    for line in lines:
        assert re.fullmatch(r"#.*|[a-z0-9-]+==[0-9][0-9a-z.]*", line), line
    assert pins()["torch"] == "2.13.0"


def test_constraints_allow_what_the_project_asks_for() -> None:
    """A requirement was raised and its pin was not, so that nothing could be installed."""
    pinned = pins()
    for wanted in declared("dev"):
        assert wanted.specifier.contains(pinned[canonicalize_name(wanted.name)]), str(wanted)


def test_constraints_pin_the_whole_closure() -> None:
    """A dependency of a dependency was left to float."""
    pinned, seen = set(pins()), set()
    queue = [(canonicalize_name(need.name), frozenset(need.extras)) for need in declared("dev")]
    while queue:
        name, extras = queue.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            needs = [Requirement(text) for text in requires(name) or []]
        except PackageNotFoundError:
            continue  # not installed here: nothing known of it
        for need in needs:
            asked = [{"extra": extra} for extra in extras or {""}]
            if need.marker is None or any(need.marker.evaluate(extra) for extra in asked):
                queue.append((canonicalize_name(need.name), frozenset(need.extras)))
    # A build of torch for GPUs pins its own libraries exactly.
    loose = {n for n, _ in seen if not n.startswith(("nvidia-", "cuda-")) and n != "triton"}
    assert loose <= pinned


def test_what_the_code_imports_is_declared() -> None:
    """The package leaned on a library that only another dependency happened to bring."""
    owners = packages_distributions()
    extras = [name for name in PROJECT["optional-dependencies"] if name != "dev"]
    allowed = {canonicalize_name(need.name) for need in declared(*extras)}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for top in {module.split(".")[0] for module in modules} - {"whyfirst"}:
                if top in sys.stdlib_module_names or top not in owners:
                    continue
                assert allowed & {canonicalize_name(o) for o in owners[top]}, f"{path}: {top}"


# --- make


def planned(folder: Path, target: str) -> str:
    """What make would do, without doing it."""
    outer = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")  # of the make that runs these tests
    done = subprocess.run(
        ["make", "--dry-run", target], cwd=folder, capture_output=True, text=True, check=True,
        env={name: text for name, text in os.environ.items() if name not in outer},
    )  # fmt: skip
    return done.stdout


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_installs_once_and_again_when_a_pin_changes(tmp_path: Path) -> None:
    """Every `make test` ran pip again, or a changed pin was not installed."""
    for at, name in enumerate(("Makefile", "pyproject.toml", "constraints.txt")):
        shutil.copy(ROOT / name, tmp_path)
        os.utime(tmp_path / name, (1000 + at, 1000 + at))
    first = planned(tmp_path, "test")
    assert "-m venv" in first and "pip install" in first and "-m pytest" in first
    (tmp_path / ".venv").mkdir()
    for name in ("made", "run", "dev"):
        (tmp_path / ".venv" / f"{name}.stamp").touch()
    for target in ("demo", "test", "check"):
        again = planned(tmp_path, target)
        assert "venv .venv" not in again and "pip install" not in again
    for name in ("run", "dev"):
        os.utime(tmp_path / ".venv" / f"{name}.stamp", (1, 1))
    assert "pip install" in planned(tmp_path, "demo") and "pip install" in planned(tmp_path, "test")


def test_ci_runs_the_tests() -> None:
    """`.ci/run` could not be executed, or passed without running the tests."""
    script = ROOT / ".ci" / "run"
    text = script.read_text(encoding="utf-8")
    assert os.access(script, os.X_OK) and text.startswith("#!/usr/bin/env bash\n")
    assert "set -euo pipefail" in text and text.rstrip().endswith("exec make test")


# --- the README


def test_the_readme_links_to_what_is_there() -> None:
    """A page or folder was renamed and the README still pointed at the old name."""
    links = re.findall(r"\]\(([^)#]+)\)", README)
    missing = [link for link in links if "://" not in link and not (ROOT / link).exists()]
    assert missing == []


def test_the_readme_maps_every_folder() -> None:
    """A folder was added or removed and the map was not."""
    mapped = set(re.findall(r"^\| `([\w/]+/)` \|", README, re.MULTILINE))
    inside = {path.relative_to(ROOT).as_posix() for path in sources(PACKAGE)}
    folders = {"/".join(name.split("/")[:3]) + "/" for name in inside if name.count("/") > 2}
    assert mapped == folders | {"studies/", "tests/", "benchmarks/", "campaigns/", "docs/"}


def test_the_readme_names_every_room() -> None:
    """A room was added, and a newcomer to the README could not know of it."""
    from whyfirst.cli.inventory import ROOMS

    rows = dict(re.findall(r"^\| `src/whyfirst/(\w+)/` \| (.*) \|$", README, re.MULTILINE))
    for module, _ in ROOMS.values():
        folder = PACKAGE.joinpath(*module.split(".")[1:])
        if folder.is_dir() and folder.parent != PACKAGE:
            part, *inner = folder.relative_to(PACKAGE).parts
            assert f"`{inner[0]}/`" in rows[part], folder.name


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """(path, value) of everything in nested mappings; lists are one value."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    else:
        yield path, value


def test_the_readme_quotes_the_study_file_as_it_is() -> None:
    """The study's numbers changed and the README's excerpt kept the old ones."""
    file = yaml.safe_load((ROOT / "studies" / "hearth-world4.yaml").read_text(encoding="utf-8"))
    actual = dict(leaves(file))
    excerpt = yaml.safe_load(blocks("yaml")[0])
    contrasts = excerpt.pop("contrasts")
    assert [row for row in contrasts if row not in file["contrasts"]] == []
    wrong = {path: value for path, value in leaves(excerpt) if actual.get(path) != value}
    assert wrong == {}


def test_the_readme_lists_every_command() -> None:
    """A command of the README was gone, or a new one was not in it."""
    import typer

    from whyfirst.cli.app import app

    group: Any = typer.main.get_command(app)
    real = set()
    for name, found in group.commands.items():
        real |= {f"{name} {verb}" for verb in getattr(found, "commands", {})} or {name}
    rows = re.findall(r"^\| `whyfirst ([^`]+)` \|", README, re.MULTILINE)
    assert {re.sub(r" (\[|FILE|RUN).*", "", row) for row in rows} == real


def test_the_readme_example_of_a_benchmark_runs() -> None:
    """The example did not run against the code as it is."""
    (example,) = blocks("python")
    check = """
from whyfirst.evaluate.benchmark import benchmark_named
from whyfirst.models.scripted import ScriptedModel
say = lambda prompt: " Blue, mostly." if "sky" in prompt else " Grey."
task = benchmark_named("colours").task()
results = task.run(ScriptedModel(say), (), lambda *step: None)
assert [item.verdict for item in results] == ["pass", "fail"], results
"""
    done = subprocess.run(
        [sys.executable, "-c", example + check], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
