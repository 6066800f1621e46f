"""A user's own methods as plain files: `plugins: [mine.py]` in a study, ``--plugin mine.py``.

`use` names a file for this process and, through one environment variable, for every process it
starts: workers, launchers, a cluster's tasks. Leaves out: isolation. A plug-in is the user's code
and may do what the user may.
"""

import hashlib
import importlib.util
import os
import sys
from collections.abc import Iterable
from pathlib import Path

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
