"""What code a plug-in is: a hash of its module and of the modules beside it that it imports.

Leaves out: compiled modules, whose file is hashed as it is, and data files that code reads.
"""

import ast
import hashlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def source_identity(module: str) -> str:
    """SHA-256 over the source of a loaded module and of every module it imports from its folder.

    A module of a package counts with the package's other modules that it imports, a lone file with
    the files beside it; what is installed elsewhere counts by the libraries' versions.

    Raises:
        KeyError: no such module is loaded.
    """
    top = Path(str(sys.modules[module].__file__)).resolve()
    # The folder that the top package lies in, from where its modules import each other.
    levels = module.count(".") + (top.name == "__init__.py")
    root = top.parents[max(levels - 1, 0)] if levels else top.parent
    # Sorted by name: the order in which modules were found depends on what else is loaded.
    digest = hashlib.sha256()
    for name, path in sorted(_reached(module, root).items()):
        # A plug-in's module name holds where it lies; its content must not depend on that.
        digest.update(f"{'' if name == module else name}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def source_of(function: Callable[..., Any]) -> str | None:
    """What identifies somebody's function beside its name; None for the project's own.

    The project's own functions count by their versions, others by `source_identity`.
    """
    module = inspect.unwrap(function).__module__
    return None if module.startswith("whyfirst.") else source_identity(module)


def _reached(module: str, root: Path) -> dict[str, Path]:
    """The module and all it imports, also inside its functions, whose files lie under `root`."""
    reached: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        file = getattr(sys.modules.get(name), "__file__", None)
        # One not yet loaded (imported inside a function) would come from beside.
        stem = root.joinpath(*name.split("."))
        beside = [p for p in (stem.with_suffix(".py"), stem / "__init__.py") if p.is_file()]
        path = Path(file).resolve() if file else beside[0] if beside else None
        if name in reached or path is None or root not in path.parents:
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
