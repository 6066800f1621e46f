"""A user's own methods as plain files: `plugins: [mine.py]` in a study, ``--plugin mine.py``.

`use` names a file for this process and, through one environment variable, for every process it
starts: workers, launchers, a cluster's tasks. What code a plug-in is counts by a hash of its module
and of the modules beside it that it imports. Leaves out: isolation (a plug-in is the user's code
and may do what the user may), and data files that code reads.
"""

import ast
import hashlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from whyfirst.config.errors import UserError

VARIABLE = "WHYFIRST_PLUGINS"  # paths, separated as in PATH
_loaded: dict[Path, str] = {}


def use(paths: Iterable[Path]) -> None:
    """Load plug-in files here and in every process started from here.

    Raises:
        UserError: no such file, or it fails to load (also by exiting), with the line it fails at.
    """
    # Resolved here: a worker may stand in another folder.
    whole = [Path(path).expanduser().resolve() for path in paths]
    load_all()
    for path in whole:
        if path not in _loaded:
            _load(path)
    # Named only once they are loaded: one that failed must not fail whatever is started next.
    named = [p for p in os.environ.get(VARIABLE, "").split(os.pathsep) if p]
    os.environ[VARIABLE] = os.pathsep.join(dict.fromkeys([*named, *map(str, whole)]))


def load_all() -> None:
    """Load the plug-ins named in the environment that are not loaded yet; see `use`."""
    for path in filter(None, os.environ.get(VARIABLE, "").split(os.pathsep)):
        if Path(path) not in _loaded:
            _load(Path(path))


def _load(path: Path) -> None:
    if not path.is_file():
        raise UserError(f"plug-in {path}: no such file")
    # By its whole path: two files called mine.py are two modules.
    name = f"whyfirst_plugin_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UserError(f"plug-in {path}: not a Python file (its name must end in .py)")
    module = importlib.util.module_from_spec(spec)
    _loaded[path] = name  # first: a plug-in may ask a room for names while it is loaded
    # Under its name before it runs, as an import does: dataclasses look their module up there.
    sys.modules[name] = module
    sys.path.append(str(path.parent))  # last, so that it hides nothing that is installed
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del _loaded[path], sys.modules[name]
        raise UserError(
            f"plug-in {_where(error, path)}: {type(error).__name__}: {error}"
        ) from error
    finally:
        sys.path.remove(str(path.parent))


def _where(error: BaseException, path: Path) -> str:
    """``FILE:LINE`` of the last frame in the plug-in's own file."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return f"{path}:{error.lineno}"
    # The last frame in the file itself: deeper ones are of libraries that it called.
    line, frame = None, error.__traceback__
    while frame is not None:
        if frame.tb_frame.f_code.co_filename == str(path):
            line = frame.tb_lineno
        frame = frame.tb_next
    return str(path) if line is None else f"{path}:{line}"


def source_identity(module: str) -> str:
    """SHA-256 over the source of a loaded module and of every module it imports from its folder.

    A module of a package counts with the package's other modules that it imports, a lone file with
    the files beside it; what is installed elsewhere counts by the libraries' versions.

    Raises:
        KeyError: no such module is loaded.
    """
    top = Path(str(sys.modules[module].__file__)).resolve()
    # The folder that the top package lies in, from where its modules import each other; beside it
    # may lie all that is installed.
    levels = module.count(".") + (top.name == "__init__.py")
    root, own = top.parents[levels], top.parents[max(levels - 1, 0)]
    # Sorted by name: the order in which modules were found depends on what else is loaded.
    digest = hashlib.sha256()
    for name, path in sorted(_reached(module, root, own).items()):
        # A plug-in's module name holds where it lies; its content must not depend on that.
        digest.update(f"{'' if name == module else name}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def source_of(function: Callable[..., Any]) -> str | None:
    """What identifies somebody's function beside its name; None for the project's own.

    The project's own functions count by their versions, others by `source_identity`.
    """
    module = inspect.unwrap(function).__module__
    return None if module.startswith("whyfirst.") else source_identity(module)


def _reached(module: str, root: Path, own: Path) -> dict[str, Path]:
    """The module and all it imports, also inside its functions, whose files lie under `own`.

    Args:
        root: from where modules are imported by their whole names.
    """
    reached: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        file = getattr(sys.modules.get(name), "__file__", None)
        # By where it lies first: one that is imported inside a function may not be loaded yet, and
        # which one is must not decide.
        stem = root.joinpath(*name.split("."))
        beside = [p for p in (stem / "__init__.py", stem.with_suffix(".py")) if p.is_file()]
        path = beside[0] if beside else Path(file).resolve() if file else None
        if name in reached or path is None or own not in path.parents:
            continue
        reached[name] = path
        if path.suffix == ".py":
            waiting += _imports(path, name)
    return reached


def _imports(path: Path, name: str) -> list[str]:
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            # A relative import counts from the package, one level up for each further dot.
            if node.level:
                up = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*up, *([node.module] if node.module else [])])
            names += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return [n for n in names if n]
